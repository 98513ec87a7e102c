package doctor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// checkAdmin checks that only this machine reaches Caddy's admin endpoint.
func (x *runner) checkAdmin(context.Context) {
	a := x.input.Admin
	switch {
	case a.Listen == "" && !a.Disabled: // unknown
	case a.Disabled:
		x.note("admin.public", "Caddy's admin endpoint is disabled, so \"docsgate keys\" and its metrics are not available.",
			"If you need them, enable the admin endpoint on a loopback address or a unix socket.")
	case listensLocally(a.Listen):
		x.ok("admin.public", "Caddy's admin endpoint is reachable from this machine only.")
	default:
		x.fail("admin.public",
			fmt.Sprintf("Caddy's admin endpoint listens on %s: any client that reaches it can change the configuration and create keys.", a.Listen),
			"Bind it to this machine with \"admin localhost:2019\", or to a unix socket.")
	}
}

// listensLocally reports whether an address in Caddy's notation is reachable from this machine only.
func listensLocally(listen string) bool {
	network, address := "tcp", listen
	if before, after, found := strings.Cut(listen, "/"); found {
		network, address = before, after
	}
	if strings.HasPrefix(network, "unix") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return isLoopback(host)
}

func (s *Site) isLocal() bool {
	for _, l := range s.Listen {
		if !listensLocally(l) {
			return false
		}
	}
	return len(s.Listen) > 0
}

// checkConsoles checks that each console is protected.
func (x *runner) checkConsoles(context.Context) {
	for i := range x.input.Consoles {
		c := &x.input.Consoles[i]
		switch {
		case c.isLocal():
			x.ok("console.protected", fmt.Sprintf("The console on %s is reachable from this machine only.", c.String()))
		case !c.Token && !c.Auth:
			x.fail("console.protected",
				fmt.Sprintf("The console on %s is not protected, so the gate does not start.", c.String()),
				"Set \"admin_token {env.DOCSGATE_ADMIN_TOKEN}\" in its block, add basic_auth before it, or bind its site to this machine "+
					"with \"bind 127.0.0.1\".")
		case c.TLS == No:
			x.warn("console.protected",
				fmt.Sprintf("The console on %s is served over plain HTTP, so its credentials cross the network unencrypted.", c.String()),
				"Give its site a domain name, so that Caddy serves it over HTTPS, or bind it to this machine.")
		default:
			x.ok("console.protected", fmt.Sprintf("The console on %s is protected.", c.String()))
		}
	}
}

const tlsFix = "Give the site a domain name without \"http://\" and without a port: Caddy then obtains a certificate automatically."

// checkTLS checks that clients do not send keys over plain HTTP.
func (x *runner) checkTLS(context.Context) {
	if u, err := url.Parse(x.opts.URL); err == nil && x.opts.URL != "" {
		switch {
		case u.Scheme == "http" && publicHost(u.Hostname()):
			x.fail("tls.plaintext",
				fmt.Sprintf("Clients reach the gate at %s over plain HTTP, so keys and questions are sent unencrypted.", u.Host), tlsFix)
		case u.Scheme == "https":
			x.ok("tls.plaintext", "The address "+x.opts.URL+" uses HTTPS.")
		}
	}
	for i := range x.input.Gates {
		g := &x.input.Gates[i]
		if g.TLS != No || g.isLocal() || x.opts.URL != "" && x.gate == g {
			continue // with --url, a server in front may terminate TLS
		}
		for _, h := range g.Hosts {
			if publicHost(h) {
				x.fail("tls.plaintext",
					fmt.Sprintf("The site %s is served over plain HTTP, so keys and questions are sent unencrypted.", h), tlsFix)
			}
		}
		if len(g.Hosts) == 0 {
			x.warn("tls.plaintext", fmt.Sprintf("The site on %s is served over plain HTTP and reachable from any network.", g.String()),
				tlsFix+" If a server in front terminates TLS, name its address with --url.")
		}
	}
	if x.worst("tls.plaintext") == "" && len(x.input.Gates) > 0 {
		x.ok("tls.plaintext", "No public site of the gate is served over plain HTTP.")
	}
}
