package doctorcmd

import (
	"crypto/tls"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/internal/caddyroutes"
	"github.com/docsgate/docsgate/upstream"
)

// routeContext is the position of a handler in the routes of a server.
type routeContext struct {
	site     doctor.Site
	partly   bool // only some requests of the site get here
	matchers int  // number of matchers that these requests have passed
	auth     bool // an authentication handler precedes

	path        string // prefix that was removed from the path
	pathUnknown bool   // the path was changed in another way
}

// routeWalker walks the routes of a server in the order in which requests are handled.
type routeWalker struct {
	server    *configServer
	depth     int  // of nested routes
	left      int  // number of routes that may still be walked
	anyClient bool // the server does not match client addresses
	gates     []doctor.Gate
	bypasses  []doctor.Bypass
	consoles  []doctor.Console
	pending   []pendingGate
}

// pendingGate is a gate that passes its requests to the next handler: its upstreams are those of the following reverse_proxy.
type pendingGate struct {
	gate     int // index in routeWalker.gates
	backend  string
	matchers int // number of matchers before the gate whose routes are not finished
}

// Limits of the walk: named routes can invoke themselves and each other.
const (
	maxDepth  = 32
	maxRoutes = 10_000
)

func (w *routeWalker) routes(list caddyhttp.RouteList, at routeContext) {
	groups := map[string][]int{} // by group, of whose routes a request takes only one
	for i := range list {
		r := &list[i]
		if w.left--; w.left < 0 {
			return
		}
		held := w.hold(groups[r.Group])
		first := len(w.gates)
		after := w.route(r, at)
		at.auth = after.auth
		if len(r.MatcherSetsRaw) == 0 { // otherwise other requests keep their path
			at.path, at.pathUnknown = after.path, after.pathUnknown
		}
		w.exitRoute(first, at.matchers, r.Terminal)
		w.pending = append(w.pending, held...)
		for n := first; r.Group != "" && n < len(w.gates); n++ {
			groups[r.Group] = append(groups[r.Group], n)
		}
	}
}

// hold removes gates from the pending ones and returns them.
func (w *routeWalker) hold(gates []int) (held []pendingGate) {
	w.pending = slices.DeleteFunc(w.pending, func(p pendingGate) bool {
		out := slices.Contains(gates, p.gate)
		if out {
			held = append(held, p)
		}
		return out
	})
	return held
}

// exitRoute ends the route of the gates from index first on. After a terminal route no handler follows.
func (w *routeWalker) exitRoute(first, matchers int, terminal bool) {
	w.pending = slices.DeleteFunc(w.pending, func(p pendingGate) bool { return terminal && p.gate >= first })
	for i := range w.pending {
		w.pending[i].matchers = min(w.pending[i].matchers, matchers)
	}
}

// route returns the position after the route, for requests that have passed it. Like the gate itself, it accepts authentication of some
// requests only: the console checks for each request whether it was authenticated.
func (w *routeWalker) route(r *caddyhttp.Route, at routeContext) routeContext {
	at = at.matched(r.MatcherSetsRaw)
	for _, raw := range r.HandlersRaw {
		var h configHandler
		if json.Unmarshal(raw, &h) != nil {
			continue // fields of other types: not a handler that is checked
		}
		nested := caddyroutes.OfJSON(raw, w.server.NamedRoutes)
		switch h.Handler {
		case "rewrite":
			at = at.rewritten(&h.configRewrite)
		case "authentication":
			at.auth = true
		case "docsgate":
			w.gate(&h, at)
		case "docsgate_console":
			w.consoles = append(w.consoles, doctor.Console{Site: at.site, Token: h.AdminToken != "", Auth: at.auth})
		case "reverse_proxy":
			w.reverseProxy(&h, nested.Conditional, at)
		default:
			w.nested(nested.Routes, at)
			if nested.Named != nil {
				w.nested(caddyhttp.RouteList{*nested.Named}, at)
			}
			w.conditional(nested.Conditional, at)
		}
	}
	return at
}

// rewritten returns the position behind a rewrite. A query or method does not matter to the path.
func (p routeContext) rewritten(h *configRewrite) routeContext {
	prefix := replaced(h.StripPathPrefix)
	if h.URI != "" && h.URI[0] != '?' || h.StripPathSuffix != "" || len(h.URISubstring) > 0 || len(h.PathRegexp) > 0 ||
		strings.Contains(prefix, "{") {
		p.pathUnknown = true
	} else if prefix != "" {
		p.path += "/" + strings.Trim(prefix, "/")
	}
	return p
}

func (w *routeWalker) nested(list caddyhttp.RouteList, at routeContext) {
	if w.depth < maxDepth {
		w.depth++
		w.routes(list, at)
		w.depth--
	}
}

// conditional walks routes that are taken after an error, or for some responses.
func (w *routeWalker) conditional(lists []caddyhttp.RouteList, at routeContext) {
	at.partly = true
	at.matchers++
	for _, l := range lists {
		w.nested(l, at)
	}
}

// matched returns the position behind matcher sets, which reduce the hosts or the requests.
func (p routeContext) matched(sets caddyhttp.RawMatcherSets) routeContext {
	var hosts []string
	all := len(sets) > 0
	if all {
		p.matchers++
	}
	for _, set := range sets {
		var some []string
		if json.Unmarshal(set["host"], &some) != nil || len(some) == 0 {
			all = false
		}
		for _, h := range some {
			hosts = append(hosts, replaced(h))
		}
		for name := range set {
			p.partly = p.partly || name != "host"
		}
	}
	if all {
		p.site.Hosts = hosts
	}
	return p
}

func (w *routeWalker) gate(h *configHandler, at routeContext) {
	g := doctor.Gate{Site: at.site, Backend: h.Backend, Endpoints: h.Endpoints, Conditional: at.partly, Path: at.path, PathUnknown: at.pathUnknown}
	if len(g.Endpoints) == 0 {
		g.Endpoints = []string{"widget"}
	}
	g.VisitorLimits, g.TokenLimit = h.visitorLimits(), h.limitsTokens()
	g.NoQueue = h.Queue != nil && *h.Queue == 0
	g.TrustedProxies = len(w.server.TrustedProxies) > 0
	g.Timeouts = setTimeouts(
		doctor.Timeout{Option: "response_header_timeout", Value: time.Duration(h.ResponseHeaderTimeout)},
		doctor.Timeout{Option: "stream_idle_timeout", Value: time.Duration(h.StreamIdleTimeout)})
	if w.server.Logs != nil {
		g.LogsCredentials, g.Traces = w.server.Logs.Credentials, w.server.Logs.Trace
	}
	if h.Upstream == "" {
		w.pending = append(w.pending, pendingGate{gate: len(w.gates), backend: h.Backend, matchers: at.matchers})
	} else if address, err := upstream.ParseAddress(replaced(h.Upstream)); err == nil {
		g.Upstreams = []doctor.Upstream{{Address: address, TLS: h.TLS.settings(), Backend: h.Backend}}
	}
	w.gates = append(w.gates, g)
}

// setTimeouts returns the timeouts that are set.
func setTimeouts(all ...doctor.Timeout) []doctor.Timeout {
	return slices.DeleteFunc(all, func(t doctor.Timeout) bool { return t.Value <= 0 })
}

// reverseProxy adds the upstreams of a reverse_proxy to the pending gates, also those of nested reverse_proxy handlers in the routes
// for some responses. If only some requests get here, the gates stay pending for the others.
func (w *routeWalker) reverseProxy(h *configHandler, responses []caddyhttp.RouteList, at routeContext) {
	if h.Rewrite.Method != "" { // forward_auth: the upstream only authenticates
		w.conditional(responses, at)
		return
	}
	var all []doctor.Upstream
	for _, u := range h.Upstreams {
		dial, settings := replaced(u.Dial), (*tls.Config)(nil)
		if h.Transport.TLS != nil && !strings.HasPrefix(dial, "unix") {
			dial = "https://" + dial
			settings = &tls.Config{InsecureSkipVerify: h.Transport.TLS.Insecure} //nolint:gosec // as configured
		}
		if address, err := upstream.ParseAddress(dial); err == nil {
			all = append(all, doctor.Upstream{Address: address, TLS: settings})
		}
	}
	for _, p := range w.pending {
		g := &w.gates[p.gate]
		for _, u := range all {
			u.Backend = p.backend
			g.Upstreams = append(g.Upstreams, u)
		}
		g.Timeouts = append(g.Timeouts, setTimeouts(
			doctor.Timeout{Option: "response_header_timeout", Value: time.Duration(h.Transport.ResponseHeaderTimeout)},
			doctor.Timeout{Option: "read_timeout", Value: time.Duration(h.Transport.ReadTimeout)})...)
	}
	if len(w.pending) == 0 && w.anyClient {
		w.bypasses = append(w.bypasses, doctor.Bypass{Site: at.site, Upstreams: all})
	}
	w.conditional(responses, at)
	w.pending = slices.DeleteFunc(w.pending, func(p pendingGate) bool { return at.matchers <= p.matchers })
}
