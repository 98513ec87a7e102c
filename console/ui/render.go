package ui

import (
	"bytes"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/keys/registry"
)

// templates are the pages by name, each with the frame and the parts that all have.
var templates = loadViews()

func loadViews() map[string]*template.Template {
	common := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/*partials.html"))
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	all := make(map[string]*template.Template)
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "layout" || strings.HasSuffix(name, "partials") {
			continue
		}
		all[name] = template.Must(template.Must(common.Clone()).ParseFS(files, file))
	}
	return all
}

var functions = template.FuncMap{
	"action":    actionWord,
	"asset":     func(file string) string { return "/assets/" + assetsByFile[file].name },
	"closed":    balanceBidi,
	"comma":     func(n int) string { return humanize.Comma(int64(n)) },
	"entries":   func(f layoutData, list []registry.AuditEntry, keys bool) entryList { return entryList{f, list, keys} },
	"fault":     func(id, text string) fieldError { return fieldError{id, text} },
	"invisible": invisible,
	"keyPath":   keyPath,
	"short":     short,
	"word":      stateWord,
}

// layoutData is what every page is given.
type layoutData struct {
	Title  string // of the page, without the name of the program
	Base   string
	Here   string // path of the page, without the base
	Back   string // where the choice of a theme leads to without JavaScript; empty: not offered there
	Theme  string // "light", "dark", or "" for the system's
	User   string
	Inside bool // whether the ways to the other pages are shown
	Out    bool // whether there is a way to sign out
	Body   any
	now    time.Time
}

// entryList is what the list of audit entries is made of.
type entryList struct {
	layoutData
	List []registry.AuditEntry
	Keys bool // the entries are of several keys, so each names its own
}

// fieldError is what is wrong with a field, by the field's id in the page.
type fieldError struct{ ID, Text string }

// When is a time for people. The zero time gives a zero Moment.
func (f layoutData) When(t time.Time) Moment { return momentOf(t, f.now) }

func (p *Page) render(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	f := layoutData{
		Title: title, Base: p.Base, Here: r.URL.Path, Theme: themeOf(r), Body: body, now: p.now(),
		Inside: name != "login" && status != http.StatusUnauthorized && status != http.StatusForbidden &&
			status != http.StatusTooManyRequests,
	}
	if r.Method == http.MethodGet {
		f.Back = p.Base + r.URL.RequestURI()
	}
	if f.Inside {
		f.Out = p.SignOut != nil
		if p.User != nil {
			f.User = p.User(r)
		}
	}
	var page bytes.Buffer // whole pages only
	if err := templates[name].ExecuteTemplate(&page, "layout", f); err != nil {
		if p.OnError != nil {
			p.OnError(r, err)
		}
		http.Error(w, "The page could not be rendered. The log of the gate has the reason.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the browser has gone: nothing to do
}

// redirect leads to a page after a form, so that a reload doesn't send it again. done is one of the words in "notices".
func (p *Page) redirect(w http.ResponseWriter, r *http.Request, path, done string) {
	if done != "" {
		path += "?done=" + url.QueryEscape(done)
	}
	http.Redirect(w, r, p.Base+path, http.StatusSeeOther)
}

// short writes a number for a narrow column.
func short(n int) string {
	if n >= 1_000_000 {
		return humanize.SIWithDigits(float64(n), 1, "")
	}
	return humanize.Comma(int64(n))
}

func keyPath(id string) string { return "/keys/" + url.PathEscape(id) }

const themeCookie = "docsgate_theme"

func themeOf(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}

func (p *Page) setTheme(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	cookie := &http.Cookie{ //nolint:gosec // Secure wherever there is TLS; without, a browser would not send it back
		Name: themeCookie, Value: r.PostForm.Get("theme"), Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil, MaxAge: int((2 * 365 * 24 * time.Hour).Seconds()),
	}
	if cookie.Value != "light" && cookie.Value != "dark" {
		cookie.Value, cookie.MaxAge = "", -1
	}
	http.SetCookie(w, cookie)
	back := p.localPath(r.PostForm.Get("back"))
	http.Redirect(w, r, back, http.StatusSeeOther) //nolint:gosec // localPath lets nothing but a path through
	return nil
}

// localPath returns a path of this console, whatever the form says.
func (p *Page) localPath(back string) string {
	u, err := url.Parse(back)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, p.Base+"/") ||
		strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return p.Base + "/"
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
}

// parseForm reads a form that came in the body.
func parseForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return err
		}
		return &pageError{http.StatusBadRequest, "The form could not be read: " + err.Error() + "."}
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/x-www-form-urlencoded" {
		return &pageError{http.StatusUnsupportedMediaType, "The content type must be application/x-www-form-urlencoded."}
	}
	return nil
}
