// Package demo is what "docsgate demo" shows in a browser: a page of another origin with the real DocsGPT widget, whose
// requests go through the gate. The answers come from the package backend below it, or from a DocsGPT.
package demo

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"github.com/docsgate/docsgate/demo/backend"
)

//go:embed assets
var assets embed.FS

// widgetBundle is the widget in its npm package's build for browsers, below assets.
const widgetBundle = "docsgpt-0.5.1/browser.js"

var pageTemplate = template.Must(template.ParseFS(assets, "assets/page.html"))

// Page is what the demo page tells and uses.
type Page struct {
	// GateURL is the origin of the gate as a browser reaches it, without a slash at the end.
	GateURL string
	// Upstream is the address of the DocsGPT behind the gate, for people.
	Upstream string
	// ConsoleURL is the page for keys. Empty: there is none.
	ConsoleURL string
	// Token is the gate's token that the widget uses. It is shown on the page.
	Token string
	// Binding says in a few words what the key is bound to, such as: the source "handbook".
	Binding string
	// Commands are shown as they are, to be copied.
	Commands []Command
	// Theft is the body of a request to /api/answer that asks for another source in every way. Empty: not offered.
	Theft string
	// Backend is the built-in backend, whose last request is shown. nil: the upstream is a DocsGPT that cannot be seen into.
	Backend *backend.Backend
	// Secrets are the strings that must not be shown, each with what stands in its place.
	Secrets map[string]string
}

// Command is a command line with what it shows.
type Command struct {
	Title string // a few words
	Shows string // a sentence, or empty
	Text  string // the command, one line
}

// Handler serves the page, its files and, with a Backend, the last request that this one got (GET /last).
func Handler(p Page) (http.Handler, error) {
	config := map[string]any{"gate": p.GateURL, "token": p.Token, "theft": p.Theft, "last": p.Backend != nil}
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, struct {
		Page
		Config map[string]any
		Bundle string
	}{p, config, widgetBundle})
	if err != nil {
		return nil, fmt.Errorf("making the demo page: %w", err)
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, fmt.Errorf("opening the files of the demo page: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page.Bytes())
	})
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(files)))
	if p.Backend != nil {
		mux.HandleFunc("GET /last", p.serveLast)
	}
	return p.secured(mux), nil
}

// secured adds the headers that keep the page from reaching anything but itself and the gate.
func (p Page) secured(next http.Handler) http.Handler {
	// styled-components writes style elements, so styles cannot be held to files.
	policy := "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self' " + p.GateURL + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// shownHeaders are the request headers that the page shows.
var shownHeaders = []string{"Authorization", "Content-Type", "Transfer-Encoding", "Origin", "X-Forwarded-For"}

// serveLast tells the last POST request that the backend got: {"request": "<text>"}, empty if there was none.
func (p Page) serveLast(w http.ResponseWriter, _ *http.Request) {
	said := ""
	for _, call := range p.Backend.Calls() {
		if call.Method == http.MethodPost {
			said = p.describe(call)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"request": said})
}

func (p Page) describe(call backend.Call) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", call.Method, call.Path)
	for _, name := range shownHeaders {
		for _, value := range call.Header.Values(name) {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	b.WriteByte('\n')
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, call.Body, "", "  "); err != nil {
		fmt.Fprintf(&b, "%q", call.Body)
	} else {
		b.Write(pretty.Bytes())
	}
	said := b.String()
	for secret, instead := range p.Secrets {
		said = strings.ReplaceAll(said, secret, instead)
	}
	return said
}
