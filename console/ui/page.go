package ui

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/console/internal/securityheader"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

// Options configure a Page.
type Options struct {
	Service *keyservice.Service
	Actor   func(*http.Request) registry.Actor // returns the actor of a change
	User    func(*http.Request) string         // returns the name of the signed-in user; nil or "": not shown

	// SignIn checks an admin token and, if it is right, sets a session cookie. nil: there is no login page.
	SignIn func(w http.ResponseWriter, r *http.Request, token string) error

	// SignOut deletes that cookie. nil: there is no sign-out. The error can be a *SignInError.
	SignOut func(w http.ResponseWriter, r *http.Request) error

	FormNonces *FormNonces                    // of submitted forms; nil: the Page's own
	Base       string                         // path prefix of the console, such as "/console"; may be empty
	Feeds      func() []string                // names of all feeds, for the filter; nil: no filter by feed
	OnError    func(r *http.Request, e error) // is called for internal errors; may be nil
}

// Page serves the web pages. It relies on a handler before it for authentication and CSRF protection. Safe for concurrent use.
type Page struct {
	Options
	mux     *http.ServeMux
	sources *sources
}

// New returns the Page. Options.Service and Options.Actor are required.
func New(o Options) *Page {
	p := &Page{Options: o, mux: http.NewServeMux()}
	if p.FormNonces == nil {
		p.FormNonces = NewFormNonces(p.now)
	}
	p.sources = &sources{list: o.Service.Sources, now: p.now}
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /{$}":                  p.list,
		"POST /{$}":                 p.search,
		"GET /new":                  p.newKey,
		"POST /new":                 p.create,
		"GET /keys/{id}":            p.show,
		"POST /keys/{id}":           p.update,
		"POST /keys/{id}/origins":   p.adoptOrigins,
		"POST /keys/{id}/disable":   p.disable,
		"POST /keys/{id}/enable":    p.enable,
		"GET /keys/{id}/rotate":     p.rotateConfirm,
		"POST /keys/{id}/rotate":    p.rotate,
		"POST /keys/{id}/end-grace": p.endGrace,
		"GET /keys/{id}/revoke":     p.revokeConfirm,
		"POST /keys/{id}/revoke":    p.revoke,
		"GET /keys/{id}/delete":     p.deleteConfirm,
		"POST /keys/{id}/delete":    p.delete,
		"POST /preview":             p.preview,
		"GET /missing":              p.missingKeys,
		"POST /missing/{id}/remove": p.forgetMissingKey,
		"GET /usage":                p.showUsage,
		"GET /audit":                p.audit,
		"POST /audit":               p.filterAudit,
		"POST /try":                 p.try,
		"POST /theme":               p.setTheme,

		"POST /keys/{id}/sign-secrets":              p.rotateSignSecret,
		"POST /keys/{id}/sign-secrets/end-grace":    p.endSignGrace,
		"POST /keys/{id}/visitor-tokens":            p.signVisitorToken,
		"POST /keys/{id}/visitor-tokens/invalidate": p.invalidateVisitorTokens,
	} {
		p.mux.HandleFunc(pattern, p.handler(handle))
	}
	p.mux.HandleFunc("GET /assets/{name}", p.serveAsset)
	if o.SignIn != nil {
		p.mux.HandleFunc("GET /login", p.handler(p.login))
		p.mux.HandleFunc("POST /login", p.handler(p.signIn))
	}
	if o.SignOut != nil {
		p.mux.HandleFunc("POST /logout", p.handler(p.signOut))
	}
	return p
}

// IsPublic reports whether a request needs no authentication: the login page, sign-out, the assets, and the choice of a theme.
func IsPublic(r *http.Request) bool {
	switch r.URL.Path {
	case "/login", "/theme", "/logout":
		return true
	}
	_, found := assetNamed(r.URL.Path)
	return found
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	securityheader.Set(w.Header(), securityheader.Page)
	if _, pattern := p.mux.Handler(r); pattern != "" {
		p.mux.ServeHTTP(w, r)
		return
	}
	// The mux knows whether the path or the method does not match. Its response is replaced by an error page.
	rec := &headerRecorder{header: make(http.Header), status: http.StatusNotFound}
	p.mux.ServeHTTP(rec, r)
	switch allow := rec.header.Get("Allow"); {
	case rec.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", allow)
		p.Refuse(w, r, rec.status, "This page does not support that method.")
	case rec.header.Get("Location") != "": // a path that is not clean
		w.Header().Set("Location", p.Base+rec.header.Get("Location"))
		w.WriteHeader(rec.status)
	default:
		p.Refuse(w, r, http.StatusNotFound, "There is nothing at this address.")
	}
}

func (p *Page) now() time.Time {
	if p.Service.Now != nil {
		return p.Service.Now()
	}
	return time.Now()
}

// headerRecorder is an http.ResponseWriter that records only status and header.
type headerRecorder struct {
	header http.Header
	status int
}

func (s *headerRecorder) Header() http.Header         { return s.header }
func (s *headerRecorder) WriteHeader(status int)      { s.status = status }
func (s *headerRecorder) Write(b []byte) (int, error) { return len(b), nil }
