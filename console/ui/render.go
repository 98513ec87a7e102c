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

// templates are the page templates by name, each with the layout and the partials.
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
	"action":     actionWord,
	"asset":      func(file string) string { return "/assets/" + assetsByFile[file].name },
	"bidi":       balanceBidi,
	"commaOf":    comma,
	"comma":      func(n int) string { return humanize.Comma(int64(n)) },
	"columnData": columnDataOf,
	"entries":    newEntryList,
	"fieldError": func(id, text string) fieldError { return fieldError{id, text} },
	"invisible":  invisible,
	"limitsOf":   limitsOf,
	"keyPath":    keyPath,
	"short":      short,
	"word":       stateWord,
}

// layoutData is the data of the layout. Body is that of the page.
type layoutData struct {
	Title  string // of the page, without the program name
	Base   string
	Here   string // path of the page without Base
	Back   string // where the theme form redirects to without JavaScript; empty: hidden without JavaScript
	Theme  string // "light", "dark", or "" for the system's
	User   string
	Inside bool // show the navigation
	Out    bool // show the sign-out button
	Body   any
	now    time.Time
}

// entryList is the data of a list of audit entries.
type entryList struct {
	layoutData
	List    []registry.AuditEntry
	Missing map[string]bool // IDs of keys without a page
	Keys    bool            // show the key of each entry
}

func newEntryList(f layoutData, list []registry.AuditEntry, missing map[string]bool, keys bool) entryList {
	return entryList{f, list, missing, keys}
}

// fieldError is the error of a field. ID is the field's element ID.
type fieldError struct{ ID, Text string }

// When formats a time. The zero time gives the zero Moment.
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
	var page bytes.Buffer // buffered, so that an error does not leave a partial page
	if err := templates[name].ExecuteTemplate(&page, "layout", f); err != nil {
		if p.OnError != nil {
			p.OnError(r, err)
		}
		http.Error(w, "The page could not be rendered. The log of the gate has the reason.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the browser may be gone
}

// redirect redirects after a form, so that a reload does not submit it again. done is a key of notices, or "".
func (p *Page) redirect(w http.ResponseWriter, r *http.Request, path, done string) {
	if done != "" {
		path += "?done=" + url.QueryEscape(done)
	}
	http.Redirect(w, r, p.Base+path, http.StatusSeeOther)
}

// short formats a number for a narrow column.
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
	cookie := &http.Cookie{ //nolint:gosec // Secure with TLS; without TLS, a browser would not send it back
		Name: themeCookie, Value: r.PostForm.Get("theme"), Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil, MaxAge: int((2 * 365 * 24 * time.Hour).Seconds()),
	}
	if cookie.Value != "light" && cookie.Value != "dark" {
		cookie.Value, cookie.MaxAge = "", -1
	}
	http.SetCookie(w, cookie)
	back := p.localPath(r.PostForm.Get("back"))
	http.Redirect(w, r, back, http.StatusSeeOther) //nolint:gosec // localPath returns only local paths
	return nil
}

// localPath returns back if it is a path of this console, otherwise the path of the list. It prevents open redirects.
func (p *Page) localPath(back string) string {
	u, err := url.Parse(back)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, p.Base+"/") ||
		strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return p.Base + "/"
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
}

// parseForm parses the form in the body.
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
