package caddymodule

import (
	"errors"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

func init() {
	caddy.RegisterModule(adminKeys{})
}

// adminPath is the path of the API for keys on Caddy's admin endpoint. The command line uses it.
const adminPath = "/docsgate"

// adminKeys serves the API for keys on Caddy's admin endpoint, which does the access control.
type adminKeys struct{}

// CaddyModule returns the Caddy module information.
func (adminKeys) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.docsgate", New: func() caddy.Module { return new(adminKeys) }}
}

// Routes implements caddy.AdminRouter.
func (adminKeys) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath + "/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

// serveAdmin looks up the active configuration with each request, since a rejected configuration also provisions this
// module.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	app, err := caddy.ActiveContext().AppIfConfigured("docsgate")
	if err != nil || app.(*App).state == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("docsgate is not configured in this Caddy")}
	}
	handler := app.(*App).adminAPI.Load()
	if handler == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotImplemented, Err: errors.New("this gate does not issue keys: " +
			"add feed store to the docsgate options")}
	}
	serveTracked(w, r, http.StripPrefix(adminPath, *handler))
	return nil
}

// openAdmin creates the API for the admin endpoint.
func (a *App) openAdmin() {
	publicURL := ""
	for _, c := range a.consoles {
		publicURL = c.PublicURL
	}
	service := a.keyService(publicURL)
	service.AnyAgent = true // the admin endpoint can change the configuration, and so the list of agents
	handler := api.New(api.Options{
		Service: service, Actor: adminActor, Format: "keys.db", IdempotencyCache: a.state.registry.memory.IdempotencyCache,
		OnError: func(r *http.Request, err error) {
			a.logger.Error("API for keys on the admin endpoint failed", zap.String("path", r.URL.Path), zap.Error(err))
		},
	})
	a.adminAPI.Store(&handler)
}

// adminActor returns the actor of a request to the admin endpoint, for the audit log. The command line sends the name of
// its user. The name is not verified: the admin endpoint permits everything anyway.
func adminActor(r *http.Request) registry.Actor {
	by := registry.Actor{Name: "admin endpoint", RemoteAddr: "admin endpoint"}
	if user := r.Header.Get("Docsgate-Actor"); user != "" && len(user) <= 100 && keys.IsValidToken(user) {
		by.Name = "command line (" + user + ")"
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		by.RemoteAddr += ", " + host
	}
	return by
}

var _ caddy.AdminRouter = (*adminKeys)(nil)
