package admin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

func init() {
	caddy.RegisterModule(adminKeys{})
}

// adminPath is the path of the API for keys on Caddy's admin endpoint. The command line uses it.
const adminPath = "/docsgate"

// backendsPath is the path of the APIs of named backends, each followed by the name.
const backendsPath = adminPath + "/backends/"

// adminKeys serves the API for keys on Caddy's admin endpoint, which does the access control.
type adminKeys struct{}

// CaddyModule returns the Caddy module information.
func (adminKeys) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.docsgate", New: func() caddy.Module { return new(adminKeys) }}
}

// Routes implements caddy.AdminRouter.
func (adminKeys) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: adminPath + "/", Handler: caddy.AdminHandlerFunc(serveAdmin)},
		{Pattern: adminPath + "/live", Handler: caddy.AdminHandlerFunc(serveLive)},
		{Pattern: adminPath + "/ready", Handler: caddy.AdminHandlerFunc(serveReady)},
	}
}

// serveAdmin serves the API of the default backend, or the API or the probe of the named backend in the path. It looks up the active
// configuration with each request, since a rejected configuration also provisions this module.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	if err := awaitConfig(r.Context()); err != nil {
		return err
	}
	docsgate, err := caddy.ActiveContext().AppIfConfigured("docsgate")
	if err != nil {
		return errNotConfigured
	}
	prefix, backend := adminPath, ""
	if rest, named := strings.CutPrefix(r.URL.Path, backendsPath); named {
		backend, _, _ = strings.Cut(rest, "/")
		prefix = backendsPath + backend
	}
	b := docsgate.(*app.App).LookupBackend(backend)
	switch {
	case b == nil && backend != "":
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("there is no backend %q: select one of %s with --backend", backend,
			strings.Join(docsgate.(*app.App).BackendNames(), ", "))}
	case b == nil:
		return caddy.APIError{HTTPStatus: http.StatusNotImplemented, Err: fmt.Errorf("there is no default backend: select one of %s with --backend",
			strings.Join(docsgate.(*app.App).BackendNames(), ", "))}
	case backend != "" && r.URL.Path == prefix+"/ready":
		return serveBackendReady(w, r, b)
	case b.State() == nil:
		return errNotConfigured
	case b.State().Registry() == nil:
		return caddy.APIError{HTTPStatus: http.StatusNotImplemented, Err: errors.New("this gate does not issue keys: " +
			"add feed store to the docsgate options")}
	}
	lifecycle.Serve(w, r, http.StripPrefix(prefix, newEndpointAPI(b)))
	return nil
}

var errNotConfigured = caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("docsgate is not configured in this Caddy")}

// newEndpointAPI returns the API for the admin endpoint.
func newEndpointAPI(b *app.Backend) http.Handler {
	service := newKeyService(b, b.PublicURL())
	service.AnyAgent = true // the admin endpoint can change the configuration, and so the list of agents
	return api.New(api.Options{
		Service: service, Actor: adminActor, Format: "keys.db", IdempotencyCache: b.State().ConsoleState().IdempotencyCache,
		OnError: func(r *http.Request, err error) {
			b.Logger(caddy.Log().Named("admin.api.docsgate")).Error("API for keys on the admin endpoint failed", zap.String("path", r.URL.Path), zap.Error(err))
		},
	})
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
