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

// adminPath is where the API for keys is on Caddy's admin endpoint. The command line uses it.
const adminPath = "/docsgate"

// adminKeys serves the API for keys on Caddy's admin endpoint, which decides itself who may use it.
type adminKeys struct{}

// CaddyModule returns the Caddy module information.
func (adminKeys) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.docsgate", New: func() caddy.Module { return new(adminKeys) }}
}

// Routes implements caddy.AdminRouter.
func (adminKeys) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath + "/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

// serveAdmin asks for the configuration in force with each request: after a refused one, what this module was provisioned
// with is gone.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	app, err := caddy.ActiveContext().AppIfConfigured("docsgate")
	if err != nil || app.(*App).state == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("docsgate is not configured in this Caddy")}
	}
	handler := app.(*App).adminAPI.Load()
	if handler == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotImplemented, Err: errors.New("this gate issues no keys: " +
			"add to the docsgate options the line: feed store")}
	}
	serveTracked(w, r, http.StripPrefix(adminPath, *handler))
	return nil
}

// openAdmin makes the API for the admin endpoint.
func (a *App) openAdmin() {
	gateURL := ""
	for _, c := range a.consoles {
		gateURL = c.Gate
	}
	desk := a.keyService(gateURL)
	desk.AnyAgent = true // who is here can change the configuration, and so list what they like
	handler := api.New(api.Options{
		Service: desk, Actor: adminActor, Format: "keys.db", IdempotencyCache: a.state.issued.memory.IdempotencyCache,
		OnError: func(r *http.Request, err error) {
			a.logger.Error("keys on the admin endpoint", zap.String("path", r.URL.Path), zap.Error(err))
		},
	})
	a.adminAPI.Store(&handler)
}

// adminActor is who uses the admin endpoint. The command line says for whom it acts; whoever gets this far could say
// anything, and may do anything.
func adminActor(r *http.Request) registry.Actor {
	by := registry.Actor{Name: "admin endpoint", RemoteAddr: "admin endpoint"}
	if who := r.Header.Get("Docsgate-Actor"); who != "" && len(who) <= 100 && keys.IsValidToken(who) {
		by.Name = "command line (" + who + ")"
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		by.RemoteAddr += ", " + host
	}
	return by
}

var _ caddy.AdminRouter = (*adminKeys)(nil)
