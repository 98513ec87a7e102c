package caddymodule_test

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnixSocketUpstream(t *testing.T) {
	g := newGate(t)
	// The path of a socket is at most 107 bytes long, and those of test folders may be longer.
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: g.backend}}
	server.Start()
	t.Cleanup(server.Close)
	g.start("docsgate unix/" + socket + "\n")
	if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK || !strings.Contains(r.body, "alpha") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestTLSUpstream(t *testing.T) {
	g := newGate(t)
	server := httptest.NewTLSServer(g.backend)
	t.Cleanup(server.Close)
	ca := filepath.Join(g.dir, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	site := "docsgate " + server.URL + " {\n%s\n}\n"
	g.start(
		fmt.Sprintf(site, "tls_trust_pool file "+ca+"\ntls_server_name example.com"),
		fmt.Sprintf(site, ""),
		fmt.Sprintf(site, "tls_trust_pool file "+ca+"\ntls_server_name other.example.org"),
	)
	body := `{"question":"q","api_key":"` + tokenAgent + `"}`
	for i, want := range []int{http.StatusOK, http.StatusBadGateway, http.StatusBadGateway} {
		if r := g.sendTo(g.urls[i], http.MethodPost, "/stream", body); r.status != want {
			t.Errorf("site %d: status %d, want %d: %s", i, r.status, want, r.body)
		}
	}
	for _, bad := range []string{
		"tls_trust_pool file " + g.keys, "tls_trust_pool file missing.pem", "tls_client_auth a b",
	} {
		if err := g.load(g.config(fmt.Sprintf(site, bad))); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// The base path of the upstream is a prefix of the endpoint's path.
func TestUpstreamWithPathPrefix(t *testing.T) {
	g := newGate(t)
	g.start("docsgate http://" + g.address + "/base/\n")
	if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusBadGateway {
		t.Errorf("status %d", r.status)
	}
	if path := g.lastCall().Path; path != "/base/stream" {
		t.Errorf("the upstream got %s", path)
	}
}

func TestEncodeHandlerKeepsStreams(t *testing.T) {
	g := newGate(t)
	g.start("encode\ndocsgate " + g.address + "\n")
	r := g.ask("/stream", tokenAgent, "q", "")
	if r.status != http.StatusOK || !strings.HasSuffix(r.body, "data: {\"type\": \"end\"}\n\n") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
