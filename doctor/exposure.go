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

// checkExposure checks that DocsGPT is not reachable without the gate: at the non-loopback addresses of this machine if it runs
// here, and at the addresses of Options.Backends.
func (x *runner) checkExposure(ctx context.Context) {
	tried := 0
	for _, u := range x.upstreams() {
		host, port := hostPort(u)
		if u.Address.Socket != "" {
			x.ok("backend.exposed", fmt.Sprintf("The DocsGPT at %s listens on a unix socket, which is not reachable from a network.", &u))
			continue
		}
		if !x.isHere(host) {
			if len(x.opts.Backends) == 0 {
				x.unknown("backend.exposed",
					fmt.Sprintf("DocsGPT is on another machine (%s), so whether other clients can reach it is unknown.", &u),
					"Pass its public addresses with --backend, such as --backend ask.example.com:7091.")
			}
			continue
		}
		for _, ip := range x.local() {
			tried++
			x.tryBackend(ctx, net.JoinHostPort(ip, port))
		}
		if tried == 0 {
			x.unknown("backend.exposed",
				"This machine has only loopback addresses, so whether other clients can reach DocsGPT is unknown.",
				"Pass its public addresses with --backend.")
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
		x.ok("backend.exposed", fmt.Sprintf("DocsGPT does not answer without the gate (addresses tried: %d).", tried))
	}
}

// tryBackend checks whether DocsGPT answers at an address, over HTTP or over HTTPS with any certificate.
func (x *runner) tryBackend(ctx context.Context, address string) {
	anyCertificate := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // no secret is sent
	for _, base := range []string{"http://" + address, "https://" + address} {
		if done := x.tryAt(ctx, newTarget(base, anyCertificate), address); done {
			return
		}
	}
}

// tryAt reports whether the result is final; if not, another scheme may succeed.
func (x *runner) tryAt(ctx context.Context, t *target, address string) bool {
	for _, path := range []string{"/api/health", "/swagger.json", "/api/config"} {
		a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: path})
		var dialErr *net.OpError
		switch {
		case errors.As(err, &dialErr) && dialErr.Op == "dial":
			return true
		case err != nil:
			return false
		}
		if a.status != http.StatusOK || a.media() != "application/json" {
			continue
		}
		if _, isGate := a.errorResponse(); isGate {
			continue
		}
		// A gate that opens the group "health" answers the first path as DocsGPT does.
		if b, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: unservedPath}); err == nil {
			if _, isGate := b.errorResponse(); isGate {
				return true
			}
		}
		consequence := ": clients can use DocsGPT keys there without the limits and the log of the gate"
		if x.unauthenticated == Yes {
			consequence = " and treats every request as its owner's, so clients that reach it do not need the gate"
		}
		x.fail("backend.exposed", fmt.Sprintf("DocsGPT answers at %s without the gate%s.", address, consequence),
			"Publish its port on this machine only, in a compose file with \"127.0.0.1:7091:7091\"; if the gate is a service of the same "+
				"compose file, remove the port.")
		return true
	}
	return false
}

// local returns the addresses of this machine that other machines may reach.
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

// isHere reports whether a host is this machine.
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
