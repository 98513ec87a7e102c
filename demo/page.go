// Package demo serves the page of "docsgate demo": it contains the published DocsGPT widget, and is on another origin than the
// gate, through which the widget's requests go. Answers come from the package backend or from a running DocsGPT.
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

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

//go:embed assets
var assets embed.FS

// widgetBundle is the browser build of the widget's npm package, relative to assets.
const widgetBundle = "docsgpt-0.5.1/browser.js"

var pageTemplate = template.Must(template.ParseFS(assets, "assets/page.html"))

// Page configures the demo page.
type Page struct {
	// GateURL is the origin of the gate for browsers, without a trailing slash.
	GateURL string
	// Upstream is the address of the DocsGPT behind the gate. It is only displayed.
	Upstream string
	// ConsoleURL is the address of the console, without a trailing slash. Empty: there is no console.
	ConsoleURL string
	// Token is the token of a publishable key, which the widgets of the page use. It is shown on the page.
	Token string
	// ServerToken is the token of a secret key, for the commands.
	ServerToken string
	// Origin is the origin of the page, on which the publishable key works.
	Origin string
	// OtherOrigin is another address of the page, on which the key does not work. Empty: there is none.
	OtherOrigin string
	// Limit is the rate of requests of a visitor of the page, such as 20/1m.
	Limit string
	// Binding describes in a few words what the key is bound to, such as: the source "handbook".
	Binding string
	// Commands are shown unchanged, with a button to copy them.
	Commands []Command
	// CrossSourceBody is the body of a request to /api/answer that selects another source with every field that DocsGPT has
	// for it. Empty: the page does not offer the request.
	CrossSourceBody string
	// Backend is the built-in backend, whose last request is shown. nil: the upstream is a DocsGPT, and the page does not show
	// what it receives.
	Backend *docsgpttest.Backend
	// Secrets maps strings that must not be shown to their replacements.
	Secrets map[string]string
}

// Command is a command line with its description.
type Command struct {
	Title string // a few words
	Shows string // a sentence, or empty
	Text  string // the command, one line
}

// Handler serves the page, its files and, with a Backend, the last request that the backend received (GET /last).
func Handler(p Page) (http.Handler, error) {
	config := map[string]any{
		"gate": p.GateURL, "token": p.Token, "crossSourceBody": p.CrossSourceBody, "last": p.Backend != nil, "origin": p.Origin,
	}
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, struct {
		Page
		Config map[string]any
		Bundle string
	}{p, config, widgetBundle})
	if err != nil {
		return nil, fmt.Errorf("rendering the demo page: %w", err)
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
	return p.withSecurityHeaders(mux), nil
}

// withSecurityHeaders adds headers that restrict the page's requests to its own origin and the gate.
func (p Page) withSecurityHeaders(next http.Handler) http.Handler {
	// styled-components inserts style elements, so inline styles must be allowed.
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

// serveLast responds with the last POST request that the backend received: {"request": "<text>"}, empty if there was none.
func (p Page) serveLast(w http.ResponseWriter, _ *http.Request) {
	last := ""
	for _, call := range p.Backend.Calls() {
		if call.Method == http.MethodPost {
			last = p.describe(call)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"request": last})
}

// describe returns the text of a request, with secrets replaced.
func (p Page) describe(call docsgpttest.Call) string {
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
	text := b.String()
	for secret, replacement := range p.Secrets {
		text = strings.ReplaceAll(text, secret, replacement)
	}
	return text
}
