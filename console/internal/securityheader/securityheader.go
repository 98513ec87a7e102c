// Package securityheader sets the security headers of the console's responses.
package securityheader

import "net/http"

// Content security policies.
const (
	NoContent = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" // for responses that are not pages
	Page      = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// Set sets the headers of a response with a content security policy, one of the constants of this package. It may be called
// again, with another policy. Handlers may override Cache-Control.
//
// Referrer-Policy must not be stricter: with no-referrer, browsers send "Origin: null" with forms, and the CSRF check needs the
// origin.
func Set(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
