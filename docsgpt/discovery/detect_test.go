package discovery_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/docsgpt/discovery"
)

// docsGPT responds like a DocsGPT of the newest version.
func docsGPT(out http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/swagger.json" || r.Header.Get("Authorization") != "" {
		http.NotFound(out, r)
		return
	}
	_, _ = io.WriteString(out, `{"info": {"title": "DocsGPT API"}, "paths": {"/api/user/tokens": {}, "/api/sources/defaults": {}}}`)
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestDetect(t *testing.T) {
	address := serve(t, docsGPT)
	if found, err := discovery.Detect(t.Context(), address+"/"); err != nil || found.Version == nil {
		t.Errorf("got %v, %v", found, err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"another server":    http.NotFound,
		"a server of pages": func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, "<!doctype html>") },
		"a redirect to it": func(out http.ResponseWriter, r *http.Request) {
			http.Redirect(out, r, address+r.URL.Path, http.StatusFound)
		},
		"no HTTP status 200": func(out http.ResponseWriter, _ *http.Request) { out.WriteHeader(http.StatusBadGateway) },
	} {
		if _, err := discovery.Detect(t.Context(), serve(t, h)); err == nil || errors.Is(err, discovery.ErrNoResponse) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	if _, err := discovery.Detect(t.Context(), closed.URL); !errors.Is(err, discovery.ErrNoResponse) || strings.Contains(err.Error(), "Get ") {
		t.Errorf("nothing listens: error %v", err)
	}
}

func TestFind(t *testing.T) {
	other, address := serve(t, http.NotFound), serve(t, docsGPT)
	first := &discovery.Settings{Dir: "first", Addresses: []string{other}}
	second := &discovery.Settings{Dir: "second", Addresses: []string{other, address}}
	found := discovery.Find(t.Context(), []*discovery.Settings{first, second})
	if found == nil || found.Address != address || found.Settings != second {
		t.Errorf("got %+v", found)
	}
}
