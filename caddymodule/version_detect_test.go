package caddymodule_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

const oldSource = "65f1c0ffee5eed0123456789"

// describedBackend is the gate's backend with an OpenAPI document like DocsGPT's. The response can be replaced.
type describedBackend struct {
	*gate
	paths  []string
	broken atomic.Pointer[http.HandlerFunc]
	asked  atomic.Pointer[[]*http.Request]
	server *httptest.Server
}

// describe starts a server in front of the backend whose OpenAPI document contains paths.
func (g *gate) describe(paths ...string) *describedBackend {
	d := &describedBackend{gate: g, paths: paths}
	d.server = httptest.NewServer(d)
	g.t.Cleanup(d.server.Close)
	g.address = strings.TrimPrefix(d.server.URL, "http://")
	return d
}

func (d *describedBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		asked := []*http.Request{r}
		if before := d.asked.Load(); before != nil {
			asked = append(*before, r)
		}
		d.asked.Store(&asked)
	}
	if broken := d.broken.Load(); broken != nil {
		(*broken)(w, r)
		return
	}
	if r.URL.Path != "/swagger.json" {
		d.backend.ServeHTTP(w, r)
		return
	}
	list := ""
	for i, path := range d.paths {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf("%q:{}", path)
	}
	fmt.Fprintf(w, `{"swagger":"2.0","paths":{%s},"info":{"title":"DocsGPT API"}}`, list)
}

// autoVersionConfig returns a configuration with "docsgpt_version auto" and a separate storage.
func (g *gate) autoVersionConfig(more string, sites ...string) string {
	config := strings.Replace(g.config(sites...), "admin off", "admin off\n\tstorage file_system "+g.dir+"/storage", 1)
	return strings.Replace(config, "upstream_token", "docsgpt_version auto "+more+"\n\t\tupstream_token", 1)
}

// keyFile016 returns a key file for DocsGPT before 0.17.
func keyFile016() string {
	return fmt.Sprintf("keys:\n  - {id: old, sha256: %s, source: [%s]}\n", sha(tokenSource), oldSource)
}

func TestAutoVersionFromUpstream(t *testing.T) {
	g := newGate(t)
	d := g.describe("/stream", "/api/search", "/api/create_agent")
	g.writeKeys(keyFile016())
	site := fmt.Sprintf("docsgate %s\n", g.address)
	if err := g.load(g.autoVersionConfig("", site)); err != nil {
		t.Fatal(err)
	}
	stopAfter(t)
	if log := g.logs(); !strings.Contains(log, `detected DocsGPT version`) || !strings.Contains(log, `"docsgpt":"0.14"`) ||
		!strings.Contains(log, "including /api/create_agent") {
		t.Errorf("the log does not contain the detected version and its source:\n%s", log)
	}
	for _, r := range *d.asked.Load() {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.URL.RawQuery != "" {
			t.Errorf("asked with a credential: %s %v", r.URL, r.Header)
		}
	}
	if r := g.ask("/stream", tokenSource, "q", ""); r.status != http.StatusOK {
		t.Errorf("a source of that version: %d %s", r.status, r.body)
	}

	// The error of an invalid feed still contains its position.
	g.writeKeys(keyFile())
	g.t.Setenv("AGENT_BETA", "changed")
	err := g.load(g.autoVersionConfig("", site+"# changed\n"))
	if err == nil || !strings.Contains(err.Error(), g.keys+":3") || !strings.Contains(err.Error(), "is not a source ID of DocsGPT 0.14") {
		t.Errorf("a bad feed: %v", err)
	}
	g.writeKeys(keyFile016())

	// The last detected version is used while DocsGPT is unavailable, for example after both were restarted.
	d.server.Close()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := g.load(g.autoVersionConfig("", site)); err != nil {
		t.Fatalf("DocsGPT unavailable: %v", err)
	}
	if !strings.Contains(g.logs(), "using the version that was detected last") {
		t.Error("the log does not say that DocsGPT was not reached")
	}
	if r := g.ask("/stream", tokenSource, "q", ""); r.status != http.StatusBadGateway {
		t.Errorf("DocsGPT unavailable: %d %s", r.status, r.body)
	}
}

func TestAutoVersionFallsBackToNewest(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>") })
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, answer := range map[string]*http.HandlerFunc{"away": nil, "not DocsGPT": &page, "silent": &silent} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			d := g.describe()
			if answer == nil {
				d.server.Close()
			}
			d.broken.Store(answer)
			if err := g.load(g.autoVersionConfig("", fmt.Sprintf("docsgate %s\n", g.address))); err != nil {
				t.Fatal(err)
			}
			stopAfter(t)
			if log := g.logs(); !strings.Contains(log, `"level":"warn"`) || !strings.Contains(log, "newest known version") ||
				!strings.Contains(log, `"docsgpt":"1.1"`) {
				t.Errorf("the log does not warn:\n%s", log)
			}
			d.broken.Store(nil)
			want := http.StatusOK
			if answer == nil {
				want = http.StatusBadGateway
			}
			if r := g.ask("/stream", tokenSource, "q", ""); r.status != want {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}

func TestAutoVersionWithoutUpstream(t *testing.T) {
	g := newGate(t)
	g.describe("/api/user/tokens", "/api/sources/defaults")
	handing := fmt.Sprintf("docsgate\nreverse_proxy %s\n", g.address)
	t.Run("is an error that says what to write", func(t *testing.T) {
		err := g.load(g.autoVersionConfig("", handing))
		if err == nil || !strings.Contains(err.Error(), "add the address of DocsGPT after auto") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("takes an address", func(t *testing.T) {
		if err := g.load(g.autoVersionConfig("http://"+g.address, handing)); err != nil {
			t.Fatal(err)
		}
		stopAfter(t)
		if r := g.ask("/stream", tokenSource, "q", ""); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("takes another site's upstream", func(t *testing.T) {
		if err := g.load(g.autoVersionConfig("", handing, fmt.Sprintf("docsgate %s\n", g.address))); err != nil {
			t.Fatal(err)
		}
		stopAfter(t)
		for _, url := range g.urls {
			body := `{"question":"q","api_key":"` + tokenSource + `"}`
			if r := g.sendTo(url, http.MethodPost, "/stream", body); r.status != http.StatusOK {
				t.Errorf("%d %s", r.status, r.body)
			}
		}
	})
}

func TestAutoVersionUsesFirstUpstream(t *testing.T) {
	g := newGate(t)
	d := g.describe("/api/user/tokens", "/api/sources/defaults")
	first := g.address
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := g.load(g.autoVersionConfig("http://"+first, "docsgate "+first+"\n")); err != nil {
		t.Fatal(err)
	}
	stopAfter(t)
	if n := len(*d.asked.Load()); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if err := g.load(g.autoVersionConfig("", fmt.Sprintf("docsgate %s\n", first), fmt.Sprintf("docsgate %s\n", listener.Addr()))); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(g.logs(), "uses only the first upstream"); n != 1 {
		t.Errorf("warned %d times of a second upstream", n)
	}
}
