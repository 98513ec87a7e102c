package ui

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

// Options configure a Page.
type Options struct {
	Service *keyservice.Service
	Actor   func(*http.Request) registry.Actor // who makes a change
	User    func(*http.Request) string         // who is signed in, as the page shows it; nil or "": nothing is shown

	// SignIn checks an admin token and, if it is right, lets the browser in with a cookie. nil: nobody has to sign in here,
	// and there is no login page.
	SignIn func(w http.ResponseWriter, r *http.Request, token string) error

	// SignOut takes that cookie back. nil: there is no way to sign out.
	SignOut func(w http.ResponseWriter, r *http.Request)

	FormNonces *FormNonces                    // that were sent; nil: the page's own
	Base       string                         // what stands before the paths of the console, such as "/console"; "": nothing
	Feeds      func() []string                // names of all feeds, to filter by; nil: there is no such filter
	OnError    func(r *http.Request, e error) // hears of every error that is not the browser's; nil: nobody does
}

// Page serves the web page. It is safe for concurrent use. Who may see it, and from where forms may come, is decided by
// whoever stands before it.
type Page struct {
	Options
	mux     *http.ServeMux
	sources *sources
}

// New returns the page. Desk and Actor are required.
func New(o Options) *Page {
	p := &Page{Options: o, mux: http.NewServeMux()}
	if p.FormNonces == nil {
		p.FormNonces = NewFormNonces(p.now)
	}
	p.sources = &sources{list: o.Service.Sources, now: p.now}
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /{$}":                p.list,
		"POST /{$}":               p.search,
		"GET /new":                p.newKey,
		"POST /new":               p.create,
		"GET /keys/{id}":          p.show,
		"POST /keys/{id}":         p.update,
		"POST /keys/{id}/disable": p.disable,
		"POST /keys/{id}/enable":  p.enable,
		"GET /keys/{id}/rotate":   p.rotateConfirm,
		"POST /keys/{id}/rotate":  p.rotate,
		"GET /keys/{id}/revoke":   p.revokeConfirm,
		"POST /keys/{id}/revoke":  p.revoke,
		"GET /audit":              p.audit,
		"POST /try":               p.try,
		"POST /theme":             p.setTheme,
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

// IsPublic reports whether a request is for what a browser needs before anybody has signed in: the login page, the look of
// the pages, and the choice of a theme.
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
	setSecurityHeaders(w.Header())
	if _, pattern := p.mux.Handler(r); pattern != "" {
		p.mux.ServeHTTP(w, r)
		return
	}
	// The mux knows whether it is the path or the method that does not fit; its words are put into a page.
	rec := &headerRecorder{header: make(http.Header), status: http.StatusNotFound}
	p.mux.ServeHTTP(rec, r)
	switch allow := rec.header.Get("Allow"); {
	case rec.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", allow)
		p.Refuse(w, r, rec.status, "This page does not support that method.")
	case rec.header.Get("Location") != "": // a path that was not spelled in the usual way
		w.Header().Set("Location", p.Base+rec.header.Get("Location"))
		w.WriteHeader(rec.status)
	default:
		p.Refuse(w, r, http.StatusNotFound, "There is nothing at this address.")
	}
}

// setSecurityHeaders sets the headers that all answers have. The policy on referrers must not be stricter: without a referrer browsers
// leave out the origin of forms too, by which those of other sites are told.
func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func (p *Page) now() time.Time {
	if p.Service.Now != nil {
		return p.Service.Now()
	}
	return time.Now()
}

// headerRecorder takes an answer whose status and headers are all that matters.
type headerRecorder struct {
	header http.Header
	status int
}

func (s *headerRecorder) Header() http.Header         { return s.header }
func (s *headerRecorder) WriteHeader(status int)      { s.status = status }
func (s *headerRecorder) Write(b []byte) (int, error) { return len(b), nil }
