package commands

import (
	"crypto/tls"
	"encoding/json"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/upstream"
)

// routeContext is where in a server a handler stands.
type routeContext struct {
	site   doctor.Site
	partly bool // only some requests of the site come here
	under  int  // how many matchers they have passed
	auth   bool // an authentication handler was before
}

// routeWalker walks the routes of a server, in the order in which requests take them.
type routeWalker struct {
	server   *configServer
	depth    int  // of routes in routes
	left     int  // routes that may still be walked
	open     bool // nobody is chosen by an address
	gates    []doctor.Gate
	beside   []doctor.Bypass
	consoles []doctor.Console
	waiting  []pendingGate
}

// pendingGate is a gate that hands its requests to the next handler: its upstreams are those of the reverse_proxy to come.
type pendingGate struct {
	gate  int // its place in the list
	under int // how many matchers it is behind, of those that still hold
}

// Named routes can invoke themselves and each other.
const (
	maxDepth  = 32
	maxRoutes = 10_000
)

func (f *routeWalker) routes(list []configRoute, at routeContext) {
	groups := map[string][]int{} // gates in routes of a group, of which a request takes only one
	for i := range list {
		r := &list[i]
		if f.left--; f.left < 0 {
			return
		}
		held := f.hold(groups[r.Group])
		first := len(f.gates)
		at.auth = f.route(r, at)
		f.exitRoute(first, at.under, r.Terminal)
		f.waiting = append(f.waiting, held...)
		for n := first; r.Group != "" && n < len(f.gates); n++ {
			groups[r.Group] = append(groups[r.Group], n)
		}
	}
}

// hold takes gates out of those that wait, and returns them.
func (f *routeWalker) hold(gates []int) (held []pendingGate) {
	f.waiting = slices.DeleteFunc(f.waiting, func(w pendingGate) bool {
		out := slices.Contains(gates, w.gate)
		if out {
			held = append(held, w)
		}
		return out
	})
	return held
}

// exitRoute says of the gates from first on that the route that they stand in is over. After a terminal one nothing comes.
func (f *routeWalker) exitRoute(first, under int, terminal bool) {
	f.waiting = slices.DeleteFunc(f.waiting, func(w pendingGate) bool { return terminal && w.gate >= first })
	for i := range f.waiting {
		f.waiting[i].under = min(f.waiting[i].under, under)
	}
}

// route returns whether what follows is behind authentication. Like the gate itself it takes one for some requests for
// enough: the console asks again, with each request, whether it took place.
func (f *routeWalker) route(r *configRoute, at routeContext) bool {
	at = at.matched(r.Match)
	for _, raw := range r.Handle {
		var h configHandler
		if json.Unmarshal(raw, &h) != nil {
			continue // its members are of other types: none that is looked at
		}
		switch h.Handler {
		case "authentication":
			at.auth = true
		case "subroute":
			f.nested(h.Routes, at)
			f.sometimes([]configErrors{h.Errors}, at)
		case "invoke":
			if named, ok := f.server.NamedRoutes[h.Name]; ok {
				f.nested([]configRoute{named}, at)
			}
		case "intercept":
			f.sometimes(h.HandleResponse, at)
		case "docsgate":
			f.gate(&h, at)
		case "docsgate_console":
			f.consoles = append(f.consoles, doctor.Console{Site: at.site, Token: h.AdminToken != "", Auth: at.auth})
		case "reverse_proxy":
			f.forwards(&h, at)
		}
	}
	return at.auth
}

func (f *routeWalker) nested(list []configRoute, at routeContext) {
	if f.depth < maxDepth {
		f.depth++
		f.routes(list, at)
		f.depth--
	}
}

// sometimes walks routes that are taken after an error, or after some answers.
func (f *routeWalker) sometimes(lists []configErrors, at routeContext) {
	at.partly = true
	at.under++
	for _, l := range lists {
		f.nested(l.Routes, at)
	}
}

// matched is the place behind a matcher: fewer hosts, or fewer requests.
func (p routeContext) matched(sets []map[string]json.RawMessage) routeContext {
	var hosts []string
	all := len(sets) > 0
	if all {
		p.under++
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

func (f *routeWalker) gate(h *configHandler, at routeContext) {
	g := doctor.Gate{Site: at.site, Endpoints: h.Endpoints, Conditional: at.partly}
	if len(g.Endpoints) == 0 {
		g.Endpoints = []string{"widget"}
	}
	if f.server.Logs != nil {
		g.LogsCredentials, g.Traces = f.server.Logs.Credentials, f.server.Logs.Trace
	}
	if h.Upstream == "" {
		f.waiting = append(f.waiting, pendingGate{gate: len(f.gates), under: at.under})
	} else if address, err := upstream.ParseAddress(replaced(h.Upstream)); err == nil {
		g.Upstreams = []doctor.Upstream{{Address: address, TLS: h.TLS.settings()}}
	}
	f.gates = append(f.gates, g)
}

// forwards gives the gates before a reverse_proxy its upstreams, and those of the reverse_proxy that takes over from some
// of its answers. If some requests only come here, further ones may follow.
func (f *routeWalker) forwards(h *configHandler, at routeContext) {
	if h.Rewrite.Method != "" { // it asks somebody else first, as forward_auth does
		f.sometimes(h.HandleResponse, at)
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
	for _, w := range f.waiting {
		g := &f.gates[w.gate]
		g.Upstreams = append(g.Upstreams, all...)
	}
	if len(f.waiting) == 0 && f.open {
		f.beside = append(f.beside, doctor.Bypass{Site: at.site, Upstreams: all})
	}
	f.sometimes(h.HandleResponse, at)
	f.waiting = slices.DeleteFunc(f.waiting, func(w pendingGate) bool { return at.under <= w.under })
}
