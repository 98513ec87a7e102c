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

// checkConsoles refuses to start if a console could be reached by people whom nothing keeps out: it has no admin token, no
// authentication handler such as basic_auth is before it, and its server listens to more than this machine. Whether a
// request really was authenticated, or is local, is checked again with each request.
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
		w := walker{server: server, local: public == "", seen: map[visitKey]bool{}}
		w.walkRoutes(server.Routes, false)
		if server.Errors != nil {
			w.walkRoutes(server.Errors.Routes, false)
		}
		if w.open {
			return fmt.Errorf("docsgate_console would be open to everybody who reaches %s: set admin_token "+
				"{env.DOCSGATE_ADMIN_TOKEN} in its block, put basic_auth before it, or let its site listen to this machine "+
				"only, with: bind 127.0.0.1", public)
		}
	}
	return nil
}

// publicListener returns the first address that a server listens at and that others than this machine may reach, or "".
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

// walker looks for a console without protection of its own in the routes of a server.
type walker struct {
	server *caddyhttp.Server
	local  bool              // only this machine reaches it
	seen   map[visitKey]bool // of named routes, which may invoke each other
	open   bool              // there is one that nothing is before
}

// visitKey is a named route, as it was come to.
type visitKey struct {
	route  *caddyhttp.Route
	behind bool
}

// walkRoutes walks a list of routes in the order in which requests take them. behind says that an authentication handler comes
// before all of them.
func (w *walker) walkRoutes(list caddyhttp.RouteList, behind bool) {
	for i := range list {
		behind = w.handlers(&list[i], behind)
	}
}

// handlers walks one route and returns whether what follows it is behind authentication.
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
			if named := w.server.NamedRoutes[h.Name]; named != nil && !w.seen[visitKey{named, behind}] {
				w.seen[visitKey{named, behind}] = true
				w.handlers(named, behind)
			}
		case *Console:
			h.local = w.local
			if !w.local && !behind && h.AdminToken == "" {
				w.open = true
			}
		}
	}
	return behind
}

// responses walks the routes that take over from an answer.
func (w *walker) responses(list []caddyhttp.ResponseHandler, behind bool) {
	for i := range list {
		w.walkRoutes(list[i].Routes, behind)
	}
}
