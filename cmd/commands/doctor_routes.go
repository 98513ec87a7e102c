package commands

import (
	"crypto/tls"
	"encoding/json"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/forward"
)

// spot is where in a server a handler stands.
type spot struct {
	site   doctor.Site
	partly bool // only some requests of the site come here
	under  int  // how many matchers they have passed
	auth   bool // an authentication handler was before
}

// finder walks the routes of a server, in the order in which requests take them.
type finder struct {
	server   *configServer
	depth    int  // of routes in routes
	left     int  // routes that may still be walked
	open     bool // nobody is chosen by an address
	gates    []doctor.Gate
	beside   []doctor.Beside
	consoles []doctor.Console
	waiting  []waiting
}

// waiting is a gate that hands its requests to the next handler: its upstreams are those of the reverse_proxy to come.
type waiting struct {
	gate  int // its place in the list
	under int // how many matchers it is behind, of those that still hold
}

// Named routes can invoke themselves and each other.
const (
	maxDepth  = 32
	maxRoutes = 10_000
)

func (f *finder) routes(list []configRoute, at spot) {
	groups := map[string][]int{} // gates in routes of a group, of which a request takes only one
	for i := range list {
		r := &list[i]
		if f.left--; f.left < 0 {
			return
		}
		held := f.hold(groups[r.Group])
		first := len(f.gates)
		at.auth = f.route(r, at)
		f.leave(first, at.under, r.Terminal)
		f.waiting = append(f.waiting, held...)
		for n := first; r.Group != "" && n < len(f.gates); n++ {
			groups[r.Group] = append(groups[r.Group], n)
		}
	}
}

// hold takes gates out of those that wait, and returns them.
func (f *finder) hold(gates []int) (held []waiting) {
	f.waiting = slices.DeleteFunc(f.waiting, func(w waiting) bool {
		out := slices.Contains(gates, w.gate)
		if out {
			held = append(held, w)
		}
		return out
	})
	return held
}

// leave says of the gates from first on that the route that they stand in is over. After a terminal one nothing comes.
func (f *finder) leave(first, under int, terminal bool) {
	f.waiting = slices.DeleteFunc(f.waiting, func(w waiting) bool { return terminal && w.gate >= first })
	for i := range f.waiting {
		f.waiting[i].under = min(f.waiting[i].under, under)
	}
}

// route returns whether what follows is behind authentication. Like the gate itself it takes one for some requests for
// enough: the console asks again, with each request, whether it took place.
func (f *finder) route(r *configRoute, at spot) bool {
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

func (f *finder) nested(list []configRoute, at spot) {
	if f.depth < maxDepth {
		f.depth++
		f.routes(list, at)
		f.depth--
	}
}

// sometimes walks routes that are taken after an error, or after some answers.
func (f *finder) sometimes(lists []configErrors, at spot) {
	at.partly = true
	at.under++
	for _, l := range lists {
		f.nested(l.Routes, at)
	}
}

// matched is the place behind a matcher: fewer hosts, or fewer requests.
func (p spot) matched(sets []map[string]json.RawMessage) spot {
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

func (f *finder) gate(h *configHandler, at spot) {
	g := doctor.Gate{Site: at.site, Endpoints: h.Endpoints, Partly: at.partly}
	if len(g.Endpoints) == 0 {
		g.Endpoints = []string{"widget"}
	}
	if f.server.Logs != nil {
		g.LogsCredentials, g.Traces = f.server.Logs.Credentials, f.server.Logs.Trace
	}
	if h.Upstream == "" {
		f.waiting = append(f.waiting, waiting{gate: len(f.gates), under: at.under})
	} else if address, err := forward.ParseAddress(replaced(h.Upstream)); err == nil {
		g.Upstreams = []doctor.Upstream{{Address: address, TLS: h.TLS.settings()}}
	}
	f.gates = append(f.gates, g)
}

// forwards gives the gates before a reverse_proxy its upstreams, and those of the reverse_proxy that takes over from some
// of its answers. If some requests only come here, further ones may follow.
func (f *finder) forwards(h *configHandler, at spot) {
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
		if address, err := forward.ParseAddress(dial); err == nil {
			all = append(all, doctor.Upstream{Address: address, TLS: settings})
		}
	}
	for _, w := range f.waiting {
		g := &f.gates[w.gate]
		g.Upstreams = append(g.Upstreams, all...)
	}
	if len(f.waiting) == 0 && f.open {
		f.beside = append(f.beside, doctor.Beside{Site: at.site, Upstreams: all})
	}
	f.sometimes(h.HandleResponse, at)
	f.waiting = slices.DeleteFunc(f.waiting, func(w waiting) bool { return at.under <= w.under })
}
