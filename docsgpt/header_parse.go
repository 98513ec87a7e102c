package docsgpt

import (
	"net/http"
	"strings"
)

// BearerToken returns the token of an Authorization header with the scheme Bearer, in any case. Two such headers, or
// one that holds more than a scheme and a token, count as no token: DocsGPT and the gate might take different parts.
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

// IsJSON tells whether a request's Content-Type is one that DocsGPT reads JSON from: application/json or
// application/*+json, whatever the parameters. Two such headers are none.
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
