package doctorcmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/caddymodule/gateway"
	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/internal/docsgpttest"
	"github.com/docsgate/docsgate/internal/testprocess"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ratelimit"
)

// Secrets that the doctor must never print.
const (
	gateToken           = "test-token-of-the-gate"
	otherToken          = "test-token-of-another-key"
	gateAgentKey        = "test-agent-key-of-docsgpt"
	bothSourcesAgentKey = "test-agent-key-of-both"
	consoleToken        = "test-admin-token-of-the-console"

	ownSource     = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"
	foreignSource = "0b8a9a5e-97a4-4a0f-8ba3-9d1a64ad3a11"
	canaryText    = "walrus 7391"
)

// redacting is the encoder of logs in the sample Caddyfile.
const redacting = "format docsgate\n"

// env is a deployment with the options of the doctor. Tests change its fields to break it before they call start.
type env struct {
	t       *testing.T
	dir     string
	port    string        // of the gate
	admin   string        // address of the admin endpoint
	docsgpt string        // address of the fake DocsGPT
	pace    time.Duration // between the pieces of a streamed answer; zero: too fast to check buffering
	open    bool          // the fake DocsGPT has AUTH_TYPE unset
	strict  bool          // the fake DocsGPT rejects the doctor's default Origin
	hidden  map[string]http.HandlerFunc
	tokens  map[string][]string // access tokens of the fake DocsGPT

	options string // of docsgate
	global  string // further global options
	logging string // of the default log
	access  string // of the site's log
	site    string // address of the site
	before  string // directives before docsgate
	gate    string // the directive
	more    string // further sites
	bind    string
	idle    bool   // the gate is not started
	after   func() // called after the start

	page   string // HTML of the page
	doctor options
}

func newEnv(t *testing.T) *env {
	// The counters of the previous case, which had the same address and the same keys.
	state := gateway.StateOf("")
	state.Rates, state.FailedTokens = ratelimit.New(0), ratelimit.NewAddressLimiter(0)
	e := &env{t: t, dir: t.TempDir(), hidden: map[string]http.HandlerFunc{}}
	t.Setenv("DOCTOR_AGENT", gateAgentKey)
	t.Setenv("DOCTOR_BOTH", bothSourcesAgentKey)
	t.Setenv("DOCTOR_ADMIN", consoleToken)
	e.port, e.admin = e.free(), "127.0.0.1:"+e.free()
	e.site, e.bind = "http://:"+e.port, "bind 127.0.0.1"
	e.logging, e.access = redacting, redacting
	e.writeFile("token", gateToken)
	e.writeFile("keys.yaml", fmt.Sprintf(`keys:
  - {id: docs, sha256: %s, agent: "{env.DOCTOR_AGENT}"}
  - {id: both, sha256: %s, agent: "{env.DOCTOR_BOTH}"}
`, keys.DigestOf(gateToken).Hex(), keys.DigestOf(otherToken).Hex()))
	e.options = "feed file " + e.path("keys.yaml")
	e.hidden["/api/config"] = func(out http.ResponseWriter, _ *http.Request) {
		sendJSON(out, fmt.Sprintf(`{"auth_type": null, "requires_auth": %t}`, !e.open))
	}
	e.hidden["/swagger.json"] = describedAs("/api/user/tokens", "/api/sources/defaults")
	e.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai\n}"
	e.doctor = options{json: true, keyFile: e.path("token")}
	e.doctor.config, e.doctor.URL = e.path("Caddyfile"), "http://127.0.0.1:"+e.port
	e.doctor.Source, e.doctor.Canary = foreignSource, canaryText
	e.doctor.Local = []string{"127.0.0.3"}
	e.page = fmt.Sprintf(`<!doctype html><div id="app"></div><script type="module">
renderDocsGPTWidget("app", {apiHost: "%s", apiKey: "%s"});</script>`, e.doctor.URL, gateToken)
	return e
}

// slowAnswers makes DocsGPT stream its answers over more than a second.
func (e *env) slowAnswers() { e.pace = 40 * time.Millisecond }

// secondSite returns a site that proxies to DocsGPT without the gate, after the directives of before.
func (e *env) secondSite(before, bind string) string {
	return "http://docsgpt.localhost:" + e.free() + " {\n" + bind + "\n" + before + "\nreverse_proxy {$DOCSGPT}\n}"
}

func sendJSON(out http.ResponseWriter, text string) {
	out.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(out, text)
}

// describedAs serves an OpenAPI document of DocsGPT with these paths.
func describedAs(paths ...string) http.HandlerFunc {
	return func(out http.ResponseWriter, _ *http.Request) {
		quoted := make([]string, len(paths))
		for i, p := range paths {
			quoted[i] = fmt.Sprintf("%q: {}", p)
		}
		sendJSON(out, `{"info": {"title": "DocsGPT API"}, "paths": {`+strings.Join(quoted, ",")+`}}`)
	}
}

func (e *env) free() string {
	e.t.Helper()
	port, err := testprocess.FreePort()
	if err != nil {
		e.t.Fatal(err)
	}
	return port
}

func (e *env) path(name string) string { return filepath.Join(e.dir, name) }

func (e *env) writeFile(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(e.path(name), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// startDocsGPT starts the fake DocsGPT on a host.
func (e *env) startDocsGPT(host string) {
	e.t.Helper()
	fake := docsgpttest.New(docsgpttest.Options{
		Keys: map[string][]string{gateAgentKey: {ownSource}, bothSourcesAgentKey: {ownSource, foreignSource}},
		Sources: map[string]string{
			ownSource: "manual", foreignSource: canaryText,
		},
		Open: e.open, Delay: e.pace, Tokens: e.tokens,
	})
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		e.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if hidden := e.hidden[r.URL.Path]; hidden != nil {
			hidden(out, r)
			return
		}
		if e.strict && strings.Contains(r.Header.Get("Origin"), "doctor") {
			http.Error(out, `{"error": "origin not allowed"}`, http.StatusForbidden)
			return
		}
		fake.ServeHTTP(out, r)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	e.t.Cleanup(server.Close)
	e.docsgpt = "127.0.0.1:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func (e *env) caddyfile() string {
	if e.docsgpt == "" {
		e.startDocsGPT("127.0.0.1")
	}
	return strings.NewReplacer("{$DOCSGPT}", e.docsgpt).Replace(fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https disable_redirects
	grace_period 1s
	skip_install_trust
	storage file_system %s
	log default {
		output file %s
		%s
	}
	%s
	docsgate {
		%s
	}
}
%s {
	%s
	log {
		output file %s
		%s
	}
	%s
	%s
}
%s
`, e.admin, e.path("storage"), e.path("errors.log"), e.logging, e.global, e.options, e.site, e.bind, e.path("access.log"),
		e.access, e.before, e.gate, e.more))
}

// start writes the Caddyfile and starts the gate, unless idle is set.
func (e *env) start() {
	e.t.Helper()
	text := e.caddyfile()
	e.writeFile("Caddyfile", text)
	if e.idle {
		return
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		e.t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			e.t.Error(err)
		}
	})
	if e.after != nil {
		e.after()
	}
}

// noServer does not start the gate, so that the doctor checks the configuration only.
func (e *env) noServer() {
	e.idle, e.page = true, ""
	e.doctor.URL, e.doctor.Source, e.doctor.Canary, e.doctor.keyFile = "", "", "", ""
}

// edit changes the Caddyfile after the gate has started with it.
func (e *env) edit(from, to string) {
	e.after = func() {
		text, err := os.ReadFile(e.path("Caddyfile"))
		if err != nil || !strings.Contains(string(text), from) {
			e.t.Fatalf("nothing to edit: %v", err)
		}
		e.writeFile("Caddyfile", strings.ReplaceAll(string(text), from, to))
	}
}

// until waits until the metrics of the running gate contain a line.
func (e *env) until(line string) {
	e.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + e.admin + "/metrics")
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if strings.Contains(string(text), line) {
				return
			}
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("timed out waiting for %s", line)
		}
	}
}

// middlebox puts a server between clients and the gate.
func (e *env) middlebox(change func(*http.Response) error) {
	to, _ := url.Parse(e.doctor.URL)
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: change,
		FlushInterval:  -1,
	})
	e.t.Cleanup(server.Close)
	e.page = strings.ReplaceAll(e.page, e.doctor.URL, server.URL)
	e.doctor.URL = server.URL
}

// servePage serves the page with the widget.
func (e *env) servePage() {
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app.js" {
			out.Header().Set("Content-Type", "text/javascript")
			_, _ = fmt.Fprintf(out, `const options = {"apiHost":"%s","apiKey":"%s"};`, e.doctor.URL, gateToken)
			return
		}
		out.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(out, e.page)
	}))
	e.t.Cleanup(server.Close)
	e.doctor.Page = server.URL + "/index.html"
}

// examine runs the doctor, and fails the test if the output contains a secret.
func (e *env) examine() ([]doctor.Finding, error) {
	e.t.Helper()
	if e.page != "" && e.doctor.URL != "" {
		e.servePage()
	}
	e.doctor.Timeout = 30 * time.Second
	var out, notes bytes.Buffer
	cmd := new(cobra.Command)
	cmd.SetOut(&out)
	cmd.SetErr(&notes)
	err := e.doctor.run(e.t.Context(), cmd)
	for _, secret := range []string{gateToken, otherToken, gateAgentKey, bothSourcesAgentKey, consoleToken, ownerAccessToken} {
		if strings.Contains(out.String()+notes.String(), secret) {
			e.t.Errorf("the output contains a secret: %s", out.String())
		}
	}
	var printed struct{ Findings []doctor.Finding }
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
			e.t.Fatal(err)
		}
	}
	if failures := slices.ContainsFunc(printed.Findings, func(f doctor.Finding) bool { return f.Severity == doctor.Failure }); failures != errors.Is(err, errFindings) {
		e.t.Errorf("failures %t, but the command ends with %v", failures, err)
	}
	return printed.Findings, err
}

// notOK returns the findings that are not ok, each as its severity and its ID.
func notOK(findings []doctor.Finding) []string {
	var all []string
	for _, f := range findings {
		if line := string(f.Severity) + " " + f.ID; f.Severity != doctor.OK && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}
