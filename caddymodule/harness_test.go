package caddymodule_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
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

// The tokens that clients present, and what DocsGPT knows. None of them may appear anywhere but in bodies.
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

	sourceAlpha = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"
	sourceBeta  = "0b8a9a5e-97a4-4a0f-8ba3-9d1a64ad3a11"
)

var canaries = []string{
	tokenAgent, tokenSource, tokenMany, tokenStale, tokenOld, tokenOff, agentAlpha, agentBeta, access,
}

func sha(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// keyFile is the key file of most tests.
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

// gate is a running Caddy with the module, in front of a backend that is strict about DocsGPT's protocol.
type gate struct {
	t        *testing.T
	dir      string
	keys     string // path of the key file
	log      string // path of all logs
	backend  *docsgpttest.Backend
	address  string       // of the backend
	upstream atomic.Int64 // requests in flight there
	urls     []string
	global   string // further global options of the gate
	servers  string // further options of Caddy's servers
	encoder  string // of the log
}

// ways are the two ways of forwarding, as the part of a site that follows its options.
var ways = map[string]string{
	"own forwarding": "docsgate %s {\n\tendpoints widget openai health\n\t%s\n}\n",
	"reverse_proxy":  "docsgate {\n\tendpoints widget openai health\n\t%[2]s\n}\nreverse_proxy %[1]s\n",
}

// bothWays runs a test with each way of forwarding.
func bothWays(t *testing.T, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range ways {
		t.Run(name, func(t *testing.T) {
			g := prepare(t)
			g.start(fmt.Sprintf(site, g.address, options))
			test(t, g)
		})
	}
}

// prepare starts the backend and writes the key file. Caddy is one a process, so such tests do not run in parallel.
func prepare(t *testing.T) *gate {
	t.Helper()
	caddymodule.ResetInFlight()
	t.Setenv("AGENT_ALPHA", agentAlpha)
	t.Setenv("AGENT_BETA", agentBeta)
	t.Setenv("AGENT_STALE", "canary-agent-unknown-upstream")
	t.Setenv("DOCSGPT_TOKEN", access)
	g := &gate{t: t, dir: t.TempDir()}
	g.keys, g.log = filepath.Join(g.dir, "keys.yaml"), filepath.Join(g.dir, "log")
	g.write(keyFile())
	g.backend = docsgpttest.New(docsgpttest.Options{
		Keys:    map[string][]string{agentAlpha: {sourceAlpha}, agentBeta: {sourceBeta}},
		Tokens:  map[string][]string{access: nil},
		Sources: map[string]string{sourceAlpha: "alpha", sourceBeta: "beta"},
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

func (g *gate) write(text string) {
	g.t.Helper()
	if err := os.WriteFile(g.keys+".new", []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(g.keys+".new", g.keys); err != nil {
		g.t.Fatal(err)
	}
}

// config is a whole Caddyfile for sites, each the inside of a site block.
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

// start loads a configuration; it ends with the test.
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

// load loads a configuration in place of the running one.
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

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// delayedFlush sends a request to the first site. Headers come in pairs; a body makes it JSON unless a header says otherwise.
func (g *gate) send(method, path, body string, headers ...string) reply {
	g.t.Helper()
	return g.sendTo(g.urls[0], method, path, body, headers...)
}

func (g *gate) sendTo(url, method, path, body string, headers ...string) reply {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	// As it is, whatever its spelling.
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
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatalf("reading the answer to %s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// getUnauthenticated asks with a token; more is further members, each with a comma before it.
func (g *gate) ask(path, token, question, more string) reply {
	g.t.Helper()
	return g.send(http.MethodPost, path, fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q%s}`, question, token, more))
}

// conversation is the id of the conversation that an answer or a stream names.
func (r reply) conversation(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(r.body, `"conversation_id":`)
	_, rest, _ = strings.Cut(rest, `"`)
	id, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("no conversation in %s", r.body)
	}
	return id
}

// last is the last request that the backend got.
func (g *gate) last() docsgpttest.Call {
	g.t.Helper()
	calls := g.backend.Calls()
	if len(calls) == 0 {
		g.t.Fatal("the backend got no request")
	}
	return calls[len(calls)-1]
}

// logged is all that was logged.
func (g *gate) logged() string {
	g.t.Helper()
	text, err := os.ReadFile(g.log)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// metric is the value of the metric whose line begins with that text, or an empty text.
func (g *gate) metric(begin string) string {
	g.t.Helper()
	for line := range strings.Lines(g.send(http.MethodGet, "/metrics", "").body) {
		if rest, ok := strings.CutPrefix(line, begin); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// until waits for something that comes about by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// noSecrets fails if a token or credential stands in a text.
func noSecrets(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range canaries {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s holds a secret: ...%s...", where, text[max(0, i-200):min(len(text), i+60)])
		}
	}
	if bytes.Contains([]byte(text), []byte(sha(tokenAgent))) {
		t.Errorf("%s holds a digest", where)
	}
}
