package docsgpt

import (
	"net/http"
	"strings"
)

// BearerToken returns the token of an Authorization header with the scheme Bearer, which is case-insensitive. Several
// such headers, or one with anything after the token, are treated as no token: DocsGPT and the gate might read
// different parts.
func BearerToken(h http.Header) (token string, ok bool) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, token, found := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", false
	}
	return token, true
}

// IsJSON reports whether DocsGPT reads JSON from a request with this Content-Type: application/json or
// application/*+json, with any parameters. Several Content-Type headers are never JSON.
func IsJSON(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) != 1 {
		return false
	}
	media := values[0]
	if media == "application/json" {
		return true
	}
	media, _, _ = strings.Cut(media, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	kind, found := strings.CutPrefix(media, "application/")
	return found && !strings.ContainsAny(kind, ", \t/") && (kind == "json" || strings.HasSuffix(kind, "+json"))
}
