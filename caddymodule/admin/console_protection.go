package admin

import (
	"fmt"
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/docsgate/docsgate/internal/caddyroutes"
)

// checkProtection returns an error if the console is unprotected: it has no admin token, there is no authentication handler
// such as basic_auth before it, and its server listens on other than loopback addresses. Each request is checked again for
// whether it was authenticated, or is from this machine.
func (c *Console) checkProtection() error {
	http, err := c.ctx.AppIfConfigured("http")
	if err != nil {
		return err
	}
	local, public := false, false // the servers that the console was found on
	for _, server := range http.(*caddyhttp.App).Servers {
		listener := publicListener(server)
		w := walker{server: server, console: c, visited: map[visitKey]bool{}}
		w.walkRoutes(server.Routes, false)
		if server.Errors != nil {
			w.walkRoutes(server.Errors.Routes, false)
		}
		local = local || w.found && listener == ""
		public = public || w.found && listener != ""
		if listener != "" && w.unauthenticated && c.AdminToken == "" {
			return fmt.Errorf("docsgate_console would be accessible without authentication on %s: set admin_token "+
				"{env.DOCSGATE_ADMIN_TOKEN} in its block, add basic_auth to its site, or let the site listen on a loopback "+
				"address only, with bind 127.0.0.1", listener)
		}
	}
	c.local = local && !public // false if a module that the walker does not know leads to the console
	return nil
}

// publicListener returns the first listen address of a server that other machines may reach, or "".
func publicListener(server *caddyhttp.Server) string {
	for _, text := range server.Listen {
		address, err := caddy.ParseNetworkAddress(text)
		if err != nil || !address.IsUnixNetwork() && !isLoopback(address.Host) {
			return text
		}
	}
	return ""
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	host, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// walker searches the routes of a server for a console.
type walker struct {
	server  *caddyhttp.Server
	console *Console
	visited map[visitKey]bool // named routes, which may invoke each other

	found           bool // the console was found
	unauthenticated bool // it was found without an authentication handler before it
}

// visitKey is a named route, and whether authentication comes before it.
type visitKey struct {
	route         *caddyhttp.Route
	authenticated bool
}

// walkRoutes walks routes in the order in which requests pass them. authenticated says that an authentication handler comes
// before all of them.
func (w *walker) walkRoutes(list caddyhttp.RouteList, authenticated bool) {
	for i := range list {
		authenticated = w.handlers(&list[i], authenticated)
	}
}

// handlers walks the handlers of a route. It reports whether an authentication handler comes before the following route.
func (w *walker) handlers(route *caddyhttp.Route, authenticated bool) bool {
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *caddyauth.Authentication, caddyauth.Authentication:
			authenticated = true
		case *Console:
			if h == w.console {
				w.found = true
				w.unauthenticated = w.unauthenticated || !authenticated
			}
		}
		nested := caddyroutes.Of(handler, w.server.NamedRoutes)
		w.walkRoutes(nested.Routes, authenticated)
		for _, list := range nested.Conditional {
			w.walkRoutes(list, authenticated)
		}
		if named := nested.Named; named != nil && !w.visited[visitKey{named, authenticated}] {
			w.visited[visitKey{named, authenticated}] = true
			w.handlers(named, authenticated)
		}
	}
	return authenticated
}
