package gateway

import (
	"net/http"
	"slices"

	"github.com/docsgate/docsgate/docsgpt"
)

// CORS headers. Access is controlled by keys, so every origin is allowed, unless the policy of the key restricts it. Preflight
// requests cannot have a key, and browsers send one before each question of a widget, so the gate responds to them itself.
var (
	corsOrigin  = []string{"*"}
	corsExpose  = []string{"Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, Mcp-Session-Id"}
	corsHeaders = []string{ // the wildcard does not include Authorization, and old browsers do not support it
		"Authorization, Content-Type, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-Id, *",
	}
	corsMaxAge = []string{"7200"}
)

// addCORS sets the headers that let web pages read the response.
func addCORS(h http.Header) {
	h["Access-Control-Allow-Origin"] = corsOrigin
	h["Access-Control-Expose-Headers"] = corsExpose
}

// serveOptions responds to a preflight or other OPTIONS request. allow lists the allowed methods.
func serveOptions(w http.ResponseWriter, r *http.Request, allow string) {
	h := w.Header()
	h.Set("Allow", allow)
	if r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h["Access-Control-Allow-Headers"] = corsHeaders
		h["Access-Control-Max-Age"] = corsMaxAge
	}
	w.WriteHeader(http.StatusNoContent)
}

// anyMethod lists the methods of preflights for paths that are not served.
const anyMethod = "GET, POST, PUT, PATCH, DELETE, OPTIONS"

// isOpenAIPreflight reports whether a request for an unknown path is the preflight of an OpenAI client in a page. The page can
// read the error, which says what is served, only if the preflight succeeds.
func isOpenAIPreflight(r *http.Request, e *endpoint) bool {
	return r.Method == http.MethodOptions && e.ErrorFormat == docsgpt.FormatOpenAI && r.Header.Get("Access-Control-Request-Method") != ""
}

// restrictCORS names the one origin that may read the response, since the key is restricted to origins.
func restrictCORS(h http.Header, origin string) {
	h["Access-Control-Allow-Origin"] = []string{origin}
	if !slices.Contains(h["Vary"], "Origin") { // an upload is authenticated twice
		h["Vary"] = append(h["Vary"], "Origin")
	}
}
