package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// checkBypass tells whether another site of the same Caddy leads to DocsGPT past the gate. Authentication and matchers of
// that site do their work here too: it is asked, without a credential, for what only DocsGPT's owner may see.
func (x *runner) checkBypass(ctx context.Context) {
	asked := map[string]bool{}
	for i := range x.facts.Beside {
		b := &x.facts.Beside[i]
		name, t := b.String(), b.local()
		if t == nil || b.onlyHere() || asked[name] || x.isGateSite(name) || !x.leadsToDocsGPT(b) {
			continue
		}
		asked[name] = true
		for _, c := range adminPaths {
			a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: c.path})
			if err != nil {
				break // it does not run, or not here
			}
			if !c.isIn(a) {
				continue
			}
			if c.owners {
				x.fail("backend.exposed",
					fmt.Sprintf("The site %s leads to DocsGPT past the gate, and whoever asks there is DocsGPT's owner.", name),
					"Put basic_auth or another authentication before its reverse_proxy, as docs/clients/webapp.md shows, or remove it.")
			} else {
				x.note("backend.exposed",
					fmt.Sprintf("The site %s leads to DocsGPT past the gate; DocsGPT itself asks for a login there.", name),
					"Leave it so if that is DocsGPT's web app. Keys that the gate issued or switched off mean nothing there.")
			}
			break
		}
	}
}

// isGateSite tells whether a gate stands on the site: what comes past it there is told by other checks.
func (x *runner) isGateSite(name string) bool {
	return slices.ContainsFunc(x.facts.Gates, func(g Gate) bool { return g.String() == name })
}

func (x *runner) leadsToDocsGPT(b *Bypass) bool {
	mine := x.upstreams()
	return slices.ContainsFunc(b.Upstreams, func(u Upstream) bool {
		return slices.ContainsFunc(mine, func(v Upstream) bool { return sameServer(u, v) })
	})
}

// sameServer tells whether two upstreams are one server, as far as their addresses say so.
func sameServer(u, v Upstream) bool {
	if u.Address.Socket != "" || v.Address.Socket != "" {
		return u.Address.Socket == v.Address.Socket
	}
	host, port := hostPort(u)
	otherHost, otherPort := hostPort(v)
	return port == otherPort && (strings.EqualFold(host, otherHost) || isLoopback(host) && isLoopback(otherHost))
}
