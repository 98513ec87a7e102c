package caddymodule

import (
	"fmt"
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// checkConsoles returns an error if a console is unprotected: it has no admin token, there is no authentication handler such
// as basic_auth before it, and its server listens on other than loopback addresses. Each request is checked again for
// whether it was authenticated, or is from this machine.
func (a *App) checkConsoles() error {
	if len(a.consoles) == 0 {
		return nil
	}
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return err
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		public := publicListener(server)
		w := walker{server: server, local: public == "", visited: map[visitKey]bool{}}
		w.walkRoutes(server.Routes, false)
		if server.Errors != nil {
			w.walkRoutes(server.Errors.Routes, false)
		}
		if w.unprotected {
			return fmt.Errorf("docsgate_console would be accessible without authentication on %s: set admin_token "+
				"{env.DOCSGATE_ADMIN_TOKEN} in its block, add basic_auth to its site, or let the site listen on a loopback "+
				"address only, with bind 127.0.0.1", public)
		}
	}
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

// walker searches the routes of a server for an unprotected console.
type walker struct {
	server      *caddyhttp.Server
	local       bool              // the server listens on loopback addresses only
	visited     map[visitKey]bool // named routes, which may invoke each other
	unprotected bool              // an unprotected console was found
}

// visitKey is a named route, and whether authentication comes before it.
type visitKey struct {
	route         *caddyhttp.Route
	authenticated bool
}

// walkRoutes walks routes in the order in which requests pass them. authenticated says that an authentication handler comes
// before all of them.
func (w *walker) walkRoutes(list caddyhttp.RouteList, behind bool) {
	for i := range list {
		behind = w.handlers(&list[i], behind)
	}
}

// handlers walks the handlers of a route. It reports whether an authentication handler comes before the following route.
func (w *walker) handlers(route *caddyhttp.Route, behind bool) bool {
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *caddyauth.Authentication, caddyauth.Authentication:
			behind = true
		case *caddyhttp.Subroute:
			w.walkRoutes(h.Routes, behind)
			if h.Errors != nil {
				w.walkRoutes(h.Errors.Routes, behind)
			}
		case *intercept.Intercept:
			w.responses(h.HandleResponse, behind)
		case *reverseproxy.Handler:
			w.responses(h.HandleResponse, behind)
		case *caddyhttp.Invoke:
			if named := w.server.NamedRoutes[h.Name]; named != nil && !w.visited[visitKey{named, behind}] {
				w.visited[visitKey{named, behind}] = true
				w.handlers(named, behind)
			}
		case *Console:
			h.local = w.local
			if !w.local && !behind && h.AdminToken == "" {
				w.unprotected = true
			}
		}
	}
	return behind
}

// responses walks the routes that handle responses.
func (w *walker) responses(list []caddyhttp.ResponseHandler, behind bool) {
	for i := range list {
		w.walkRoutes(list[i].Routes, behind)
	}
}
