package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// checkExposure tells whether DocsGPT can be reached past the gate: at the other addresses of this machine, if it runs
// here, and at those that the operator names.
func (x *runner) checkExposure(ctx context.Context) {
	tried := 0
	for _, u := range x.upstreams() {
		host, port := hostPort(u)
		if u.Address.Socket != "" {
			x.ok("backend.exposed", fmt.Sprintf("The DocsGPT at %s listens to a socket, which no network reaches.", &u))
			continue
		}
		if !x.isHere(host) {
			if len(x.opts.Backends) == 0 {
				x.unknown("backend.exposed",
					fmt.Sprintf("DocsGPT is not on this machine (%s), so it could not be told who else reaches it.", &u),
					"Name its addresses as the outside would reach them with --backend, such as --backend ask.example.com:7091.")
			}
			continue
		}
		for _, ip := range x.local() {
			tried++
			x.tryBackend(ctx, net.JoinHostPort(ip, port))
		}
		if tried == 0 {
			x.unknown("backend.exposed",
				"This machine has no other address than its loopback one, so it could not be told who else reaches DocsGPT.",
				"Name its addresses as the outside would reach them with --backend.")
		}
	}
	for _, address := range x.opts.Backends {
		tried++
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(address, "7091")
		}
		x.tryBackend(ctx, address)
	}
	if tried > 0 && x.worst("backend.exposed") == "" {
		x.ok("backend.exposed", "DocsGPT does not answer at "+number(tried, "other place")+".")
	}
}

// tryBackend asks an address whether DocsGPT is there, in clear or with whichever certificate.
func (x *runner) tryBackend(ctx context.Context, address string) {
	anyone := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // nothing that is secret goes there
	for _, base := range []string{"http://" + address, "https://" + address} {
		if done := x.tryAt(ctx, newTarget(base, anyone), address); done {
			return
		}
	}
}

// tryAt returns true if there is no need to ask in another way.
func (x *runner) tryAt(ctx context.Context, t *target, address string) bool {
	for _, path := range []string{"/api/health", "/swagger.json", "/api/config"} {
		a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: path})
		var unconnected *net.OpError
		switch {
		case errors.As(err, &unconnected) && unconnected.Op == "dial":
			return true
		case err != nil:
			return false
		}
		if a.status != http.StatusOK || a.media() != "application/json" {
			continue
		}
		if _, gates := a.refusal(); gates {
			continue
		}
		// A gate that opens the group "health" answers the first path as DocsGPT does.
		if b, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: unservedPath}); err == nil {
			if _, gates := b.refusal(); gates {
				return true
			}
		}
		who := ": whoever reaches it can try keys past the gate, without its limits and its log"
		if x.open == Yes {
			who = ", and it takes everybody for its owner, so the gate guards nothing from those who reach it"
		}
		x.fail("backend.exposed", fmt.Sprintf("DocsGPT answers at %s, past the gate%s.", address, who),
			"Let its port listen to this machine only, in a compose file \"127.0.0.1:7091:7091\", or remove the port's line if the "+
				"gate runs in the same compose file.")
		return true
	}
	return false
}

// local are the addresses of this machine that others may reach.
func (x *runner) local() []string {
	if x.opts.Local != nil {
		return x.opts.Local
	}
	var all []string
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	return all
}

// isHere tells whether a host is this machine.
func (x *runner) isHere(host string) bool {
	if isLoopback(host) {
		return true
	}
	ip := net.ParseIP(host)
	for _, mine := range x.local() {
		if ip != nil && ip.Equal(net.ParseIP(mine)) || strings.EqualFold(mine, host) {
			return true
		}
	}
	return false
}

func hostPort(u Upstream) (host, port string) {
	host, port = u.Address.URL.Hostname(), u.Address.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Address.URL.Scheme]
	}
	return host, port
}
