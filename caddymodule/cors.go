package caddymodule

import "net/http"

// What a browser may do with an answer. The key is what protects it, so any origin may read it. Preflights cannot
// name a key, and browsers send one before each question of a widget, so they are answered here, the same for all.
var (
	corsOrigin  = []string{"*"}
	corsExpose  = []string{"Retry-After, X-Request-Id"}
	corsHeaders = []string{"Authorization, Content-Type, *"} // the star does not cover Authorization
	corsMaxAge  = []string{"7200"}
)

// addCORS puts on every answer what lets a page read it.
func addCORS(h http.Header) {
	h["Access-Control-Allow-Origin"] = corsOrigin
	h["Access-Control-Expose-Headers"] = corsExpose
}

// answerOptions answers a preflight, and any other OPTIONS request, for an endpoint that takes method.
func answerOptions(w http.ResponseWriter, r *http.Request, method string) {
	allow := method + ", OPTIONS"
	h := w.Header()
	h.Set("Allow", allow)
	if r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h["Access-Control-Allow-Headers"] = corsHeaders
		h["Access-Control-Max-Age"] = corsMaxAge
	}
	w.WriteHeader(http.StatusNoContent)
}
