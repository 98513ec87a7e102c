// Package api is the gate's REST API for keys, with the key endpoints of older versions of DocsGPT. It does not authenticate:
// console/auth or Caddy's admin endpoint does that before it. It serves its OpenAPI document, which describes all endpoints.
package api

import (
	"errors"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/internal/securityheader"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

// Options configure the API.
type Options struct {
	Service *keyservice.Service // required, with Registry, Index and Store

	// Actor returns the actor of a request, for the audit trail. nil: "api", with the remote address of the connection.
	Actor func(*http.Request) registry.Actor

	// Format is the file name of a backup, such as "keys.db". Empty: "docsgate-keys.backup".
	Format string

	// OnError is called for internal errors. The client gets only a generic message. The error contains no secret. May be nil.
	OnError func(r *http.Request, err error)

	IdempotencyCache *IdempotencyCache // nil: its own
	Now              func() time.Time  // nil: time.Now
}

// api has the handlers of all routes.
type api struct {
	Options
	mux *http.ServeMux
}

// route is an endpoint: a pattern of http.ServeMux with a method.
type route struct {
	pattern string
	handler func(*api, http.ResponseWriter, *http.Request) error
	fail    func(http.ResponseWriter, *problem) // writes an error; nil: as application/problem+json
}

// routes are all endpoints. openapi.json describes each of them.
var routes = []route{
	{"GET /v1/keys", (*api).listKeys, nil},
	{"POST /v1/keys", (*api).createKey, nil},
	{"GET /v1/keys/{id}", (*api).showKey, nil},
	{"PATCH /v1/keys/{id}", (*api).updateKey, nil},
	{"DELETE /v1/keys/{id}", (*api).deleteKey, nil},
	{"GET /v1/keys/{id}/origins", (*api).listOrigins, nil},
	{"GET /v1/keys/{id}/usage", (*api).showKeyUsage, nil},
	{"POST /v1/keys/{id}/rotate", (*api).rotateKey, nil},
	{"POST /v1/keys/{id}/end-grace", (*api).endGrace, nil},
	{"POST /v1/keys/{id}/disable", (*api).disableKey, nil},
	{"POST /v1/keys/{id}/enable", (*api).enableKey, nil},
	{"POST /v1/keys/{id}/revoke", (*api).revokeKey, nil},
	{"POST /v1/keys/{id}/sign-secrets", (*api).rotateSignSecret, nil},
	{"POST /v1/keys/{id}/sign-secrets/end-grace", (*api).endSignGrace, nil},
	{"POST /v1/keys/{id}/visitor-tokens", (*api).signVisitorToken, nil},
	{"POST /v1/keys/{id}/visitor-tokens/invalidate", (*api).invalidateVisitorTokens, nil},
	{"GET /v1/missing-keys", (*api).listMissingKeys, nil},
	{"DELETE /v1/missing-keys/{id}", (*api).forgetMissingKey, nil},
	{"POST /v1/check", (*api).checkToken, nil},
	{"GET /v1/audit", (*api).listAudit, nil},
	{"GET /v1/rejections", (*api).listRejections, nil},
	{"GET /v1/usage", (*api).showUsage, nil},
	{"POST /v1/import", (*api).importKeys, nil},
	{"GET /v1/export", (*api).exportKeys, nil},
	{"GET /v1/sources", (*api).listSources, nil},
	{"GET /v1/backup", (*api).backup, nil},
	{"POST /v1/secrets/rotate", (*api).rotateSecret, nil},
	{"POST /v1/id-secrets/rotate", (*api).rotateIDSecret, nil},
	{"GET /openapi.json", (*api).openAPI, nil},

	{"POST /api/create_api_key", (*api).legacyCreate, writeLegacy},
	{"GET /api/get_api_keys", (*api).legacyList, writeLegacy},
	{"POST /api/delete_api_key", (*api).legacyDelete, writeLegacy},
}

// New returns the API's handler. It expects the paths of the routes at its root: strip the prefix under which it is mounted.
func New(o Options) http.Handler {
	if o.IdempotencyCache == nil {
		o.IdempotencyCache = new(IdempotencyCache)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Actor == nil {
		o.Actor = func(r *http.Request) registry.Actor { return registry.Actor{Name: "api", RemoteAddr: remoteIP(r)} }
	}
	if o.Format == "" {
		o.Format = "docsgate-keys.backup"
	}
	a := &api{Options: o, mux: http.NewServeMux()}
	for _, route := range routes {
		a.mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.handler(a, w, r); err != nil {
				a.fail(w, r, err, route.fail)
			}
		})
	}
	return a
}

// IsAPIPath reports whether a path is in the namespace of the API, whether or not it has a route.
func IsAPIPath(path string) bool {
	return path == "/openapi.json" || strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/api/")
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	securityheader.Set(w.Header(), securityheader.NoContent)
	// The mux would redirect a path such as //v1/keys, which no valid client requests.
	if r.URL.Path != path.Clean("/"+r.URL.Path) {
		a.fail(w, r, errNoRoute, nil)
		return
	}
	if _, pattern := a.mux.Handler(r); pattern == "" {
		a.fail(w, r, a.routeError(r), nil)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// routeError returns the problem of a request without a route. The mux knows which methods a path allows.
func (a *api) routeError(r *http.Request) *problem {
	response := &headerRecorder{header: make(http.Header)}
	a.mux.ServeHTTP(response, r)
	allow := response.header.Get("Allow")
	if response.status != http.StatusMethodNotAllowed || allow == "" {
		return errNoRoute
	}
	p := newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This path allows "+allow+".")
	p.header = http.Header{"Allow": {allow}}
	return p
}

// headerRecorder is an http.ResponseWriter that records only status and header.
type headerRecorder struct {
	header http.Header
	status int
}

func (d *headerRecorder) Header() http.Header         { return d.header }
func (d *headerRecorder) Write(b []byte) (int, error) { return len(b), nil }
func (d *headerRecorder) WriteHeader(status int)      { d.status = status }

// fail writes an error response. Internal errors are logged, and the client gets only a generic message.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error, write func(http.ResponseWriter, *problem)) {
	p := problemOf(err)
	if cause := errors.Unwrap(p); cause != nil && r.Context().Err() == nil {
		a.log(r, cause)
	}
	if write == nil {
		write = writeProblem
	}
	for name, values := range p.header {
		w.Header()[name] = values
	}
	write(w, p)
}

func (a *api) log(r *http.Request, err error) {
	if a.OnError != nil {
		a.OnError(r, err)
	}
}

// remoteIP returns the remote address of the connection without the port.
func remoteIP(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
