package caddymodule_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// Tokens that clients present, and the credentials and sources of DocsGPT. Secrets must not appear in logs or responses.
const (
	tokenAgent  = "canary-token-agent"
	tokenSource = "canary-token-source"
	tokenMany   = "canary-token-many"
	tokenStale  = "canary-token-with-a-bad-agent"
	tokenOld    = "canary-token-expired"
	tokenOff    = "canary-token-disabled"

	agentAlpha = "canary-agent-alpha"
	agentBeta  = "canary-agent-beta"
	access     = "dgpt_pat_canary-access"
	session    = "canary-session-token"

	sourceAlpha = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"
	sourceBeta  = "0b8a9a5e-97a4-4a0f-8ba3-9d1a64ad3a11"
)

var canaries = []string{
	tokenAgent, tokenSource, tokenMany, tokenStale, tokenOld, tokenOff, agentAlpha, agentBeta, access, session,
}

func sha(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// keyFile returns the key file of most tests.
func keyFile() string {
	return fmt.Sprintf(`keys:
  - {id: agent, name: Agent key, sha256: %s, agent: "{env.AGENT_ALPHA}"}
  - {id: source, sha256: %s, source: ["%s"]}
  - {id: many, sha256: %s, source: ["%s", "%s"]}
  - {id: stale, sha256: %s, agent: "{env.AGENT_STALE}"}
  - {id: old, sha256: %s, agent: "{env.AGENT_ALPHA}", expires: 2020-01-01T00:00:00Z}
  - {id: off, sha256: %s, agent: "{env.AGENT_ALPHA}", state: disabled}
`, sha(tokenAgent), sha(tokenSource), sourceAlpha, sha(tokenMany), sourceAlpha, sourceBeta, sha(tokenStale),
		sha(tokenOld), sha(tokenOff))
}

// gate is a running Caddy with the module, in front of a fake DocsGPT.
type gate struct {
	t        *testing.T
	dir      string
	keys     string // path of the key file
	log      string // path of the file with all logs
	backend  *docsgpttest.Backend
	address  string       // of the backend
	upstream atomic.Int64 // requests in flight there
	urls     []string
	global   string // further global options of the gate
	servers  string // further options of Caddy's servers
	encoder  string // of the log
}

// forwardModes are the two ways of forwarding: a site with placeholders for the upstream and for further options.
var forwardModes = map[string]string{
	"built-in":      "docsgate %s {\n\tendpoints widget openai health\n\t%s\n}\n",
	"reverse_proxy": "docsgate {\n\tendpoints widget openai health\n\t%[2]s\n}\nreverse_proxy %[1]s\n",
}

// testForwardModes runs a test in each forward mode.
func testForwardModes(t *testing.T, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.start(fmt.Sprintf(site, g.address, options))
			test(t, g)
		})
	}
}

// newGate starts the backend and writes the key file. There is only one Caddy in a process, so tests with a gate must not be
// parallel.
func newGate(t *testing.T) *gate {
	t.Helper()
	caddymodule.ResetInFlight()
	t.Setenv("AGENT_ALPHA", agentAlpha)
	t.Setenv("AGENT_BETA", agentBeta)
	t.Setenv("AGENT_STALE", "canary-agent-unknown-upstream")
	t.Setenv("DOCSGPT_TOKEN", access)
	g := &gate{t: t, dir: t.TempDir()}
	t.Setenv("XDG_DATA_HOME", filepath.Join(g.dir, "data"))
	g.keys, g.log = filepath.Join(g.dir, "keys.yaml"), filepath.Join(g.dir, "log")
	g.writeKeys(keyFile())
	g.backend = docsgpttest.New(docsgpttest.Options{
		Keys:   map[string][]string{agentAlpha: {sourceAlpha}, agentBeta: {sourceBeta}},
		Tokens: map[string][]string{access: nil},

		Sessions: []string{session},
		Sources:  map[string]string{sourceAlpha: "alpha", sourceBeta: "beta"},
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.upstream.Add(1)
		defer g.upstream.Add(-1)
		g.backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.address = strings.TrimPrefix(server.URL, "http://")
	return g
}

func (g *gate) writeKeys(text string) {
	g.t.Helper()
	if err := os.WriteFile(g.keys+".new", []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(g.keys+".new", g.keys); err != nil {
		g.t.Fatal(err)
	}
}

// config returns a complete Caddyfile. Each site is the content of a site block.
func (g *gate) config(sites ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `{
	admin off
	persist_config off
	metrics
	grace_period 1s
	servers {
		trusted_proxies static 127.0.0.9/32
		%s
	}
	log default {
		output file %s {
			mode 0600
		}
		level DEBUG
		%s
	}
	docsgate {
		feed file %s
		upstream_token {env.DOCSGPT_TOKEN}
		%s
	}
}
`, g.servers, g.log, g.encoder, g.keys, g.global)
	for i, site := range sites {
		fmt.Fprintf(&text, "http://:0 {\nbind 127.0.0.%d\nlog\nhandle /metrics {\nmetrics\n}\n%s}\n", i+1, site)
	}
	return text.String()
}

// start loads a configuration. It is stopped when the test ends.
func (g *gate) start(sites ...string) {
	g.t.Helper()
	if err := g.load(g.config(sites...)); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			g.t.Error(err)
		}
	})
}

// load loads a configuration, which replaces the running one.
func (g *gate) load(caddyfile string) error {
	adapter := caddyconfig.GetAdapter("caddyfile")
	config, _, err := adapter.Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		return err
	}
	g.urls = nil
	servers := app.(*caddyhttp.App).Servers
	for i := range len(servers) {
		for _, server := range servers {
			for _, listener := range server.Listeners() {
				if address := listener.Addr().String(); strings.HasPrefix(address, fmt.Sprintf("127.0.0.%d:", i+1)) {
					g.urls = append(g.urls, "http://"+address)
				}
			}
		}
	}
	return nil
}

// response is a response with its complete body.
type response struct {
	status int
	header http.Header
	body   string
}

// send sends a request to the first site. headers are pairs of name and value; an empty value removes the header. The default
// Content-Type of a body is JSON.
func (g *gate) send(method, path, body string, headers ...string) response {
	g.t.Helper()
	return g.sendTo(g.urls[0], method, path, body, headers...)
}

func (g *gate) sendTo(url, method, path, body string, headers ...string) response {
	g.t.Helper()
	return g.sendOver(http.DefaultTransport, url, method, path, body, headers...)
}

// transportFrom returns a transport whose connections come from an address of this machine.
func transportFrom(t *testing.T, address string) *http.Transport {
	t.Helper()
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// sendOver is sendTo over the connections of a transport.
func (g *gate) sendOver(transport http.RoundTripper, url, method, path, body string, headers ...string) response {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	// Send the path without normalizing its escapes.
	path, r.URL.RawQuery, _ = strings.Cut(path, "?")
	r.URL.RawPath = path
	if r.URL.Path, err = neturl.PathUnescape(path); err != nil {
		g.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	} else {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i+1] == "":
			r.Header.Del(headers[i])
		case headers[i] == "Host":
			r.Host = headers[i+1]
		default:
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatalf("reading the response to %s %s: %v", method, path, err)
	}
	return response{resp.StatusCode, resp.Header, string(text)}
}

// ask sends a question. more are further fields of the body, each with a comma before it.
func (g *gate) ask(path, token, question, more string) response {
	g.t.Helper()
	return g.send(http.MethodPost, path, fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q%s}`, question, token, more))
}

// conversation returns the ID of the conversation in the response: in the event "id" of a stream, or in JSON.
func (r response) conversation(t *testing.T) string {
	t.Helper()
	_, rest, found := strings.Cut(r.body, `"type": "id", "id":`)
	if !found {
		_, rest, _ = strings.Cut(r.body, `"conversation_id":`)
	}
	_, rest, _ = strings.Cut(rest, `"`)
	id, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("no conversation in %s", r.body)
	}
	return id
}

// bareID returns DocsGPT's ID in a signed one.
func bareID(t *testing.T, signed string) string {
	t.Helper()
	id, signature, ok := strings.Cut(signed, ".")
	if !ok || len(signature) != 24 {
		t.Errorf("%q is not signed", signed)
	}
	return id
}

// lastCall returns the last request that the backend has received.
func (g *gate) lastCall() docsgpttest.Call {
	g.t.Helper()
	calls := g.backend.Calls()
	if len(calls) == 0 {
		g.t.Fatal("the backend got no request")
	}
	return calls[len(calls)-1]
}

// logs returns all logs.
func (g *gate) logs() string {
	g.t.Helper()
	text, err := os.ReadFile(g.log)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// metric returns the value of the metric whose line begins with a text; empty: there is none.
func (g *gate) metric(begin string) string {
	g.t.Helper()
	for line := range strings.Lines(g.send(http.MethodGet, "/metrics", "").body) {
		if rest, ok := strings.CutPrefix(line, begin); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// waitFor waits until done returns true.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// assertNoSecrets checks that a text contains no token, credential or digest.
func assertNoSecrets(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range canaries {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s contains a secret: ...%s...", where, text[max(0, i-200):min(len(text), i+60)])
		}
	}
	if bytes.Contains([]byte(text), []byte(sha(tokenAgent))) {
		t.Errorf("%s contains a digest", where)
	}
}
