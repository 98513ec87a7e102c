// Package api is the gate's REST API for keys, and the calls for keys that older versions of DocsGPT had themselves. It
// checks no credential: a console/auth or Caddy's admin endpoint stands before it. What it can do is told by its OpenAPI
// document, which it serves.
package api

import (
	"errors"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

// Options configure the API.
type Options struct {
	Service *keyservice.Service // required; its Registry, Catalog and Store, too

	// Actor tells who makes a request, for the audit trail. nil: "api", from the connection's address.
	Actor func(*http.Request) registry.Actor

	// Format is the name of the file that a backup is, such as "keys.db". Empty: "docsgate-keys.backup".
	Format string

	// OnError hears of faults of the server: the client is only told that there was one. The error holds no secret. nil:
	// nobody hears of them.
	OnError func(r *http.Request, err error)

	IdempotencyCache *IdempotencyCache // nil: the API's own
	Now              func() time.Time  // nil: time.Now
}

// api is the handlers of all routes.
type api struct {
	Options
	mux *http.ServeMux
}

// route is one way to call the API: a pattern of http.ServeMux with its method.
type route struct {
	pattern string
	handler func(*api, http.ResponseWriter, *http.Request) error
	fail    func(http.ResponseWriter, *problem) // writes an error; nil: as application/problem+json
}

// routes are all that the API has. Each is described in openapi.json.
var routes = []route{
	{"GET /v1/keys", (*api).listKeys, nil},
	{"POST /v1/keys", (*api).createKey, nil},
	{"GET /v1/keys/{id}", (*api).showKey, nil},
	{"PATCH /v1/keys/{id}", (*api).updateKey, nil},
	{"POST /v1/keys/{id}/rotate", (*api).rotateKey, nil},
	{"POST /v1/keys/{id}/disable", (*api).disableKey, nil},
	{"POST /v1/keys/{id}/enable", (*api).enableKey, nil},
	{"POST /v1/keys/{id}/revoke", (*api).revokeKey, nil},
	{"GET /v1/audit", (*api).listAudit, nil},
	{"POST /v1/import", (*api).importKeys, nil},
	{"GET /v1/export", (*api).exportKeys, nil},
	{"GET /v1/sources", (*api).listSources, nil},
	{"GET /v1/backup", (*api).backup, nil},
	{"GET /openapi.json", (*api).openAPI, nil},

	{"POST /api/create_api_key", (*api).legacyCreate, writeLegacy},
	{"GET /api/get_api_keys", (*api).legacyList, writeLegacy},
	{"POST /api/delete_api_key", (*api).legacyDelete, writeLegacy},
}

// New returns the API's handler. It expects the paths of the routes at its root; strip what it is mounted under.
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

// IsAPIPath reports whether a path is one of the API's, whether or not anything is there, so that other paths can be somebody
// else's.
func IsAPIPath(path string) bool {
	return path == "/openapi.json" || strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/api/")
}

// ServeHTTP answers a request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// The mux would send a path such as //v1/keys on to another; nobody who means well asks for one.
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

// routeError asks the mux why it has no route for a request: it knows which methods a path allows.
func (a *api) routeError(r *http.Request) *problem {
	answer := &headerRecorder{header: make(http.Header)}
	a.mux.ServeHTTP(answer, r)
	allow := answer.header.Get("Allow")
	if answer.status != http.StatusMethodNotAllowed || allow == "" {
		return errNoRoute
	}
	p := newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This path allows "+allow+".")
	p.header = http.Header{"Allow": {allow}}
	return p
}

// headerRecorder keeps status and header of an answer only.
type headerRecorder struct {
	header http.Header
	status int
}

func (d *headerRecorder) Header() http.Header         { return d.header }
func (d *headerRecorder) Write(b []byte) (int, error) { return len(b), nil }
func (d *headerRecorder) WriteHeader(status int)      { d.status = status }

// fail answers with an error. One that is not a client's fault is logged, and the client learns nothing of it.
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

// remoteIP is the address at the other end of the connection, without the port.
func remoteIP(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
