package gateway

import (
	"net/http"
	"slices"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// CORS headers. Access is controlled by keys, so every origin is allowed, unless the policies of keys restrict it. Preflight
// requests cannot have a key, and browsers send one before each question of a widget, so the gate responds to them itself.
const (
	corsExpose = "Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, Mcp-Session-Id"
	// The wildcard does not include Authorization, and old browsers do not support it.
	corsHeaders = "Authorization, Content-Type, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-Id, *"
	corsMaxAge  = "7200"
)

// addCORS sets the headers that let web pages read the response, before the key is known: pages that any key may be used on. These
// are the final headers of preflights and of errors without a key.
func (c *client) addCORS() {
	h := c.w.Header()
	c.responseValues.set(h, "Access-Control-Expose-Headers", corsExpose)
	origins := c.handler.backend.State().Origins
	if origins.AllowAny() {
		c.responseValues.set(h, "Access-Control-Allow-Origin", "*")
		return
	}
	addVaryOrigin(h)
	if origin := c.r.Header.Get("Origin"); origin != "" && origins.Allow(origin) {
		c.responseValues.set(h, "Access-Control-Allow-Origin", origin)
	}
}

// serveOptions responds to a preflight or other OPTIONS request. allow lists the allowed methods.
func (c *client) serveOptions(allow string) {
	h, v := c.w.Header(), &c.responseValues
	v.set(h, "Allow", allow)
	if c.r.Header.Get("Access-Control-Request-Method") != "" {
		v.set(h, "Access-Control-Allow-Methods", allow)
		v.set(h, "Access-Control-Allow-Headers", corsHeaders)
		v.set(h, "Access-Control-Max-Age", corsMaxAge)
	}
	c.w.WriteHeader(http.StatusNoContent)
}

// anyMethod lists the methods of preflights for paths that are not served.
const anyMethod = "GET, POST, PUT, PATCH, DELETE, OPTIONS"

// isOpenAIPreflight reports whether a request for an unknown path is the preflight of an OpenAI client in a page. The page can
// read the error, which says what is served, only if the preflight succeeds.
func isOpenAIPreflight(r *http.Request, e *endpoint) bool {
	return r.Method == http.MethodOptions && e.ErrorFormat == docsgpt.FormatOpenAI && r.Header.Get("Access-Control-Request-Method") != ""
}

// restrictCORS lets only the pages that a key may be used on read the response, error responses included.
func (c *client) restrictCORS(key *keys.Key) {
	if key.Policy == nil || len(key.Policy.Origins) == 0 || policy.AllowsOrigin(key.Policy.Origins, "") {
		return
	}
	h, origin := c.w.Header(), c.r.Header.Get("Origin")
	addVaryOrigin(h)
	if origin != "" && policy.AllowsOrigin(key.Policy.Origins, origin) {
		c.responseValues.set(h, "Access-Control-Allow-Origin", origin)
	} else {
		delete(h, "Access-Control-Allow-Origin")
	}
}

// learnOrigin records the origin that a key is used on.
func (c *client) learnOrigin(key *keys.Key) {
	if origin := c.r.Header.Get("Origin"); origin != "" {
		c.handler.backend.State().Activity.Origins.Record(key.ID, origin, c.started)
	}
}

func addVaryOrigin(h http.Header) {
	if !slices.Contains(h["Vary"], "Origin") { // an upload is authenticated twice
		h["Vary"] = append(h["Vary"], "Origin")
	}
}
