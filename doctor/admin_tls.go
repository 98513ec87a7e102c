package doctor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// checkAdmin tells whether others may change the configuration.
func (x *runner) checkAdmin(context.Context) {
	a := x.facts.Admin
	switch {
	case a.Listen == "" && !a.Disabled: // not known
	case a.Disabled:
		x.note("admin.public", "Caddy's admin endpoint is off, so \"docsgate keys\" and the metrics on it do not work.",
			"Switch it on, on a loopback address or a socket, if you want them.")
	case onlyHere(a.Listen):
		x.ok("admin.public", "Caddy's admin endpoint is reached from this machine only.")
	default:
		x.fail("admin.public",
			fmt.Sprintf("Caddy's admin endpoint listens on %s: whoever reaches it can change the configuration and make keys.", a.Listen),
			"Let it listen on this machine only: admin localhost:2019, or a unix socket.")
	}
}

// onlyHere tells whether an address, as Caddy writes it, is reached from this machine only.
func onlyHere(listen string) bool {
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

func (s *Site) onlyHere() bool {
	for _, l := range s.Listen {
		if !onlyHere(l) {
			return false
		}
	}
	return len(s.Listen) > 0
}

// checkConsoles tells whether the page for keys is protected.
func (x *runner) checkConsoles(context.Context) {
	for i := range x.facts.Consoles {
		c := &x.facts.Consoles[i]
		switch {
		case c.onlyHere():
			x.ok("console.protected", fmt.Sprintf("The console on %s is reached from this machine only.", c.String()))
		case !c.Token && !c.Auth:
			x.fail("console.protected",
				fmt.Sprintf("The console on %s has no protection, so the gate refuses to start.", c.String()),
				"Set admin_token {env.DOCSGATE_ADMIN_TOKEN} in its block, put basic_auth before it, or let its site listen to this machine only, "+
					"with: bind 127.0.0.1")
		case c.TLS == No:
			x.warn("console.protected",
				fmt.Sprintf("The console on %s is served over plain http, and what opens it goes over the network in clear.", c.String()),
				"Give its site a domain name, so that Caddy serves it with HTTPS, or let it listen to this machine only.")
		default:
			x.ok("console.protected", fmt.Sprintf("The console on %s is protected.", c.String()))
		}
	}
}

const tlsMend = "Give the site a domain name without \"http://\" and without a port: Caddy then gets a certificate by itself."

// checkTLS tells whether keys go over the network in clear.
func (x *runner) checkTLS(context.Context) {
	if u, err := url.Parse(x.opts.URL); err == nil && x.opts.URL != "" {
		switch {
		case u.Scheme == "http" && publicHost(u.Hostname()):
			x.fail("tls.plaintext",
				fmt.Sprintf("Clients reach the gate at %s over plain http, and their keys and questions go along in clear.", u.Host), tlsMend)
		case u.Scheme == "https":
			x.ok("tls.plaintext", "The address "+x.opts.URL+" is an https one.")
		}
	}
	for i := range x.facts.Gates {
		g := &x.facts.Gates[i]
		if g.TLS != No || g.onlyHere() || x.opts.URL != "" && x.gate == g {
			continue // with an address of the operator's, another server may do it
		}
		for _, h := range g.Hosts {
			if publicHost(h) {
				x.fail("tls.plaintext",
					fmt.Sprintf("The site %s is served over plain http, and keys and questions go along in clear.", h), tlsMend)
			}
		}
		if len(g.Hosts) == 0 {
			x.warn("tls.plaintext", fmt.Sprintf("The site on %s is served over plain http to every network.", g.String()),
				tlsMend+" If another server before it does that, name its address with --url.")
		}
	}
	if x.worst("tls.plaintext") == "" && len(x.facts.Gates) > 0 {
		x.ok("tls.plaintext", "No public site of the gate is served over plain http.")
	}
}
