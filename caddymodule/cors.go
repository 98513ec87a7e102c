package caddymodule

import "net/http"

// What a browser may do with an answer. The key is what protects it, so any origin may read it. Preflights cannot
// name a key, and browsers send one before each question of a widget, so they are answered here, the same for all.
var (
	corsOrigin  = []string{"*"}
	corsExpose  = []string{"Retry-After, X-Request-Id, Mcp-Session-Id"}
	corsHeaders = []string{ // a star does not cover Authorization, and old browsers do not know it
		"Authorization, Content-Type, Mcp-Session-Id, Mcp-Protocol-Version, Last-Event-Id, *",
	}
	corsMaxAge = []string{"7200"}
)

// addCORS puts on every answer what lets a page read it.
func addCORS(h http.Header) {
	h["Access-Control-Allow-Origin"] = corsOrigin
	h["Access-Control-Expose-Headers"] = corsExpose
}

// answerOptions answers a preflight, and any other OPTIONS request, where these methods are allowed.
func answerOptions(w http.ResponseWriter, r *http.Request, allow string) {
	h := w.Header()
	h.Set("Allow", allow)
	if r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h["Access-Control-Allow-Headers"] = corsHeaders
		h["Access-Control-Max-Age"] = corsMaxAge
	}
	w.WriteHeader(http.StatusNoContent)
}
