package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// checkBypass checks whether another site of the same Caddy proxies to DocsGPT without the gate. It requests, without a credential,
// paths that only DocsGPT's owner may read, so that authentication and matchers of that site take effect.
func (x *runner) checkBypass(ctx context.Context) {
	checked := map[string]bool{}
	for i := range x.input.Bypasses {
		b := &x.input.Bypasses[i]
		name, t := b.address(), b.local()
		if t == nil || b.isLocal() || checked[name] || x.isGateSite(name) || !x.leadsToDocsGPT(b) {
			continue
		}
		checked[name] = true
		for _, c := range adminPaths {
			a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: c.path})
			if err != nil {
				break // the site does not run, or not here
			}
			if !c.matches(a) {
				continue
			}
			if c.owners {
				x.fail("backend.exposed",
					fmt.Sprintf("The site %s bypasses the gate, and DocsGPT treats its requests as its owner's.", name),
					"Add basic_auth or another authentication before its reverse_proxy, as docs/clients/webapp.md shows, or remove the site.")
			} else {
				x.note("backend.exposed",
					fmt.Sprintf("The site %s bypasses the gate; DocsGPT requires a login there.", name),
					"Keep the site if it serves DocsGPT's web app; otherwise remove it. The gate's keys and limits do not apply there.")
			}
			break
		}
	}
}

// address returns the hosts of the site and its listener addresses: sites on different ports may have the same host.
func (s *Site) address() string {
	listen := strings.Join(s.Listen, ", ")
	if len(s.Hosts) == 0 {
		return listen
	}
	return s.String() + " (" + listen + ")"
}

// isGateSite reports whether the site with an address has a gate. Other checks cover paths of such a site that bypass its gate.
func (x *runner) isGateSite(address string) bool {
	return slices.ContainsFunc(x.input.Gates, func(g Gate) bool { return g.address() == address })
}

func (x *runner) leadsToDocsGPT(b *Bypass) bool {
	mine := x.upstreams()
	return slices.ContainsFunc(b.Upstreams, func(u Upstream) bool {
		return slices.ContainsFunc(mine, func(v Upstream) bool { return sameServer(u, v) })
	})
}

// sameServer reports whether two upstreams have the same address. All loopback names and addresses are the same.
func sameServer(u, v Upstream) bool {
	if u.Address.Socket != "" || v.Address.Socket != "" {
		return u.Address.Socket == v.Address.Socket
	}
	host, port := hostPort(u)
	otherHost, otherPort := hostPort(v)
	return port == otherPort && (strings.EqualFold(host, otherHost) || isLoopback(host) && isLoopback(otherHost))
}
