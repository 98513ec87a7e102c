package commands

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
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/internal/docsgpttest"
	"github.com/docsgate/docsgate/keys"
)

// What must never stand in what the doctor prints.
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

// noKeys are the filters of the sample Caddyfile.
const noKeys = `format filter {
	request>headers>X-Api-Key delete
	request>headers>Api-Key delete
	request>uri query {
		replace api_key REDACTED
		replace key REDACTED
		replace token REDACTED
	}
}
`

// doctorEnv is a deployment that can be broken in many ways before it starts, and the doctor who looks at it.
type doctorEnv struct {
	t       *testing.T
	dir     string
	port    string        // of the gate
	admin   string        // address of the admin endpoint
	docsgpt string        // address of the double
	pace    time.Duration // between the pieces of a streamed answer; zero: nothing is told about buffering
	open    bool          // the double has AUTH_TYPE unset
	strict  bool          // the double answers the pages that it knows, and not the doctor's own
	hidden  map[string]http.HandlerFunc
	tokens  map[string][]string // access tokens of the double

	options string // of docsgate
	global  string // further global options
	logging string // of the default log
	access  string // of the site's log
	site    string // address of the site
	before  string // directives before docsgate
	gate    string // the directive
	more    string // further sites
	bind    string
	idle    bool   // the gate does not run
	after   func() // after it was started

	page   string // what the page says
	doctor doctorOptions
}

func newDoctorEnv(t *testing.T) *doctorEnv {
	w := &doctorEnv{t: t, dir: t.TempDir(), hidden: map[string]http.HandlerFunc{}}
	t.Setenv("DOCTOR_AGENT", gateAgentKey)
	t.Setenv("DOCTOR_BOTH", bothSourcesAgentKey)
	t.Setenv("DOCTOR_ADMIN", consoleToken)
	w.port, w.admin = w.free(), "127.0.0.1:"+w.free()
	w.site, w.bind = "http://:"+w.port, "bind 127.0.0.1"
	w.logging, w.access = noKeys, noKeys
	w.writeFile("token", gateToken)
	w.writeFile("keys.yaml", fmt.Sprintf(`keys:
  - {id: docs, sha256: %s, agent: "{env.DOCTOR_AGENT}"}
  - {id: both, sha256: %s, agent: "{env.DOCTOR_BOTH}"}
`, keys.DigestOf(gateToken).Hex(), keys.DigestOf(otherToken).Hex()))
	w.options = "feed file " + w.path("keys.yaml")
	w.hidden["/api/config"] = func(out http.ResponseWriter, _ *http.Request) {
		sendJSON(out, fmt.Sprintf(`{"auth_type": null, "requires_auth": %t}`, !w.open))
	}
	w.hidden["/swagger.json"] = describedAs("/api/user/tokens", "/api/sources/defaults")
	w.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai\n}"
	w.doctor = doctorOptions{json: true, keyFile: w.path("token")}
	w.doctor.config, w.doctor.URL = w.path("Caddyfile"), "http://127.0.0.1:"+w.port
	w.doctor.Source, w.doctor.Canary = foreignSource, canaryText
	w.doctor.Local = []string{"127.0.0.3"}
	w.page = fmt.Sprintf(`<!doctype html><div id="app"></div><script type="module">
renderDocsGPTWidget("app", {apiHost: "%s", apiKey: "%s"});</script>`, w.doctor.URL, gateToken)
	return w
}

// slowAnswers has DocsGPT write its answers over more than a second.
func (w *doctorEnv) slowAnswers() { w.pace = 40 * time.Millisecond }

// secondSite is a site that hands all requests to DocsGPT. What is before comes first.
func (w *doctorEnv) secondSite(before, bind string) string {
	return "http://docsgpt.localhost:" + w.free() + " {\n" + bind + "\n" + before + "\nreverse_proxy {$DOCSGPT}\n}"
}

func sendJSON(out http.ResponseWriter, text string) {
	out.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(out, text)
}

// describedAs is DocsGPT's description of itself with these paths.
func describedAs(paths ...string) http.HandlerFunc {
	return func(out http.ResponseWriter, _ *http.Request) {
		quoted := make([]string, len(paths))
		for i, p := range paths {
			quoted[i] = fmt.Sprintf("%q: {}", p)
		}
		sendJSON(out, `{"info": {"title": "DocsGPT API"}, "paths": {`+strings.Join(quoted, ",")+`}}`)
	}
}

func (w *doctorEnv) free() string {
	w.t.Helper()
	port, err := freePort()
	if err != nil {
		w.t.Fatal(err)
	}
	return port
}

func (w *doctorEnv) path(name string) string { return filepath.Join(w.dir, name) }

func (w *doctorEnv) writeFile(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// startDocsGPT starts the double at an address.
func (w *doctorEnv) startDocsGPT(host string) {
	w.t.Helper()
	double := docsgpttest.New(docsgpttest.Options{
		Keys: map[string][]string{gateAgentKey: {ownSource}, bothSourcesAgentKey: {ownSource, foreignSource}},
		Sources: map[string]string{
			ownSource: "manual", foreignSource: canaryText,
		},
		Open: w.open, Delay: w.pace, Tokens: w.tokens,
	})
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if hidden := w.hidden[r.URL.Path]; hidden != nil {
			hidden(out, r)
			return
		}
		if w.strict && strings.Contains(r.Header.Get("Origin"), "doctor") {
			http.Error(out, `{"error": "origin not allowed"}`, http.StatusForbidden)
			return
		}
		double.ServeHTTP(out, r)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	w.t.Cleanup(server.Close)
	w.docsgpt = "127.0.0.1:" + portOf(listener.Addr())
}

func (w *doctorEnv) caddyfile() string {
	if w.docsgpt == "" {
		w.startDocsGPT("127.0.0.1")
	}
	return strings.NewReplacer("{$DOCSGPT}", w.docsgpt).Replace(fmt.Sprintf(`{
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
`, w.admin, w.path("storage"), w.path("errors.log"), w.logging, w.global, w.options, w.site, w.bind, w.path("access.log"),
		w.access, w.before, w.gate, w.more))
}

// start starts the gate, unless it is not to run.
func (w *doctorEnv) start() {
	w.t.Helper()
	text := w.caddyfile()
	w.writeFile("Caddyfile", text)
	if w.idle {
		return
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	if w.after != nil {
		w.after()
	}
}

// noServer leaves the gate off, and has the doctor look at the configuration alone.
func (w *doctorEnv) noServer() {
	w.idle, w.page = true, ""
	w.doctor.URL, w.doctor.Source, w.doctor.Canary, w.doctor.keyFile = "", "", "", ""
}

// edit changes the configuration's file after the gate was started with it.
func (w *doctorEnv) edit(from, to string) {
	w.after = func() {
		text, err := os.ReadFile(w.path("Caddyfile"))
		if err != nil || !strings.Contains(string(text), from) {
			w.t.Fatalf("nothing to edit: %v", err)
		}
		w.writeFile("Caddyfile", strings.ReplaceAll(string(text), from, to))
	}
}

// until waits until a metric of the running gate has a value.
func (w *doctorEnv) until(line string) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + w.admin + "/metrics")
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if strings.Contains(string(text), line) {
				return
			}
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s", line)
		}
	}
}

// middlebox puts a server between clients and the gate.
func (w *doctorEnv) middlebox(change func(*http.Response) error) {
	to, _ := url.Parse(w.doctor.URL)
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: change,
		FlushInterval:  -1,
	})
	w.t.Cleanup(server.Close)
	w.page = strings.ReplaceAll(w.page, w.doctor.URL, server.URL)
	w.doctor.URL = server.URL
}

// servePage serves the page with the widget.
func (w *doctorEnv) servePage() {
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app.js" {
			out.Header().Set("Content-Type", "text/javascript")
			_, _ = fmt.Fprintf(out, `const options = {"apiHost":"%s","apiKey":"%s"};`, w.doctor.URL, gateToken)
			return
		}
		out.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(out, w.page)
	}))
	w.t.Cleanup(server.Close)
	w.doctor.Page = server.URL + "/index.html"
}

// examine runs the doctor, and fails the test if what it prints holds a secret.
func (w *doctorEnv) examine() ([]doctor.Finding, error) {
	w.t.Helper()
	if w.page != "" && w.doctor.URL != "" {
		w.servePage()
	}
	w.doctor.Timeout = 30 * time.Second
	var out, notes bytes.Buffer
	cmd := new(cobra.Command)
	cmd.SetOut(&out)
	cmd.SetErr(&notes)
	err := w.doctor.run(w.t.Context(), cmd)
	for _, secret := range []string{gateToken, otherToken, gateAgentKey, bothSourcesAgentKey, consoleToken, ownerAccessToken} {
		if strings.Contains(out.String()+notes.String(), secret) {
			w.t.Errorf("a secret is printed: %s", out.String())
		}
	}
	var printed struct{ Findings []doctor.Finding }
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
			w.t.Fatal(err)
		}
	}
	if failures := slices.ContainsFunc(printed.Findings, func(f doctor.Finding) bool { return f.Severity == doctor.Failure }); failures != errors.Is(err, errFindings) {
		w.t.Errorf("failures %t, but the command ends with %v", failures, err)
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
