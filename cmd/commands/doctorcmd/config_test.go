package doctorcmd

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// faultCase is a fault of a deployment, with the findings other than "ok" that it causes.
type faultCase struct {
	name  string
	setUp func(*env)
	want  []string
}

// tooQuick is the finding about a stream that is too fast to check buffering.
const tooQuick = "unknown stream.buffered"

// noKinds is the finding about keys without a kind, as in the key file of the environment.
const noKinds = "note feeds.kinds"

// noCancel is the finding about answers that the gate cannot cancel, since the environment has no upstream_token.
const noCancel = "note docsgpt.cancel"

// runCases checks that each faulty deployment has exactly the wanted findings. It ignores tooQuick in cases that do not set a pace,
// because DocsGPT then writes its answers without delay, and noKinds and noCancel in cases that do not expect them.
func runCases(t *testing.T, all []faultCase) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t)
			c.setUp(e)
			e.start()
			findings, _ := e.examine()
			slices.Sort(c.want)
			got := notOK(findings)
			if e.pace == 0 && !slices.Contains(c.want, tooQuick) {
				got = slices.DeleteFunc(got, func(f string) bool { return f == tooQuick })
			}
			for _, usual := range []string{noKinds, noCancel} {
				if !slices.Contains(c.want, usual) {
					got = slices.DeleteFunc(got, func(f string) bool { return f == usual })
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, not %q", got, c.want)
			}
			for _, f := range findings {
				if t.Failed() {
					t.Logf("%s %s: %s %s", f.Severity, f.ID, f.Summary, f.Fix)
				}
			}
		})
	}
}

// Faults of the configuration, of DocsGPT and of keys. A correct deployment has no findings.
func TestConfigFaults(t *testing.T) {
	notFound := http.NotFound
	runCases(t, []faultCase{
		{"correct", (*env).slowAnswers, nil},
		{"correct, with reverse_proxy", func(e *env) {
			e.slowAnswers()
			e.gate = "docsgate {\nendpoints widget openai\n}\nreverse_proxy {$DOCSGPT}"
		}, nil},
		{"correct, with the key in a script of the page", func(e *env) {
			e.page = `<div id=app></div><script src="/app.js"></script>`
		}, nil},
		{"correct, without --url", func(e *env) {
			e.slowAnswers()
			e.doctor.URL, e.page = "", ""
		}, nil},
		{"correct, without a key", func(e *env) { e.doctor.keyFile, e.doctor.Source, e.doctor.Canary = "", "", "" }, nil},

		{"correct, for some paths of a site", func(e *env) {
			e.slowAnswers()
			e.gate = "handle /stream* {\ndocsgate {$DOCSGPT}\n}\nhandle {\nrespond <h1>Welcome</h1>\n}"
		}, nil},
		{"correct, for OpenAI clients only", func(e *env) {
			e.slowAnswers()
			e.gate = "docsgate {$DOCSGPT} {\nendpoints openai\n}"
		}, nil},
		{"correct, with a DocsGPT that answers its own pages only", func(e *env) { e.strict = true }, nil},
		{"correct, on two sites", func(e *env) {
			e.more = "http://second.localhost:" + e.free() + " {\nbind 127.0.0.1\ndocsgate {$DOCSGPT}\n}"
		}, []string{"note gate.answers"}},

		// The configuration.
		{"a mistake in the Caddyfile", func(e *env) {
			e.noServer()
			e.gate = "docsgate {$DOCSGPT} {\nendpoint widget\n}"
		}, []string{"failure config.loads"}},
		{"a missing key file", func(e *env) {
			e.noServer()
			e.options = "feed file " + e.path("nowhere.yaml")
		}, []string{"failure config.loads", "note config.running", "unknown feeds.readable", "unknown gate.answers"}},
		{"no gate", func(e *env) { e.gate = "respond ok" }, []string{
			"failure config.gate", "failure gate.answers", "unknown page.key",
		}},
		{"another configuration runs", func(e *env) {
			e.edit("endpoints widget openai", "endpoints openai widget")
		}, []string{"note config.running"}},
		{"no gate runs", (*env).noServer, []string{"note config.running", "unknown gate.answers"}},
		{"no gate runs at --url", func(e *env) { e.idle = true }, []string{
			"failure gate.answers", "note config.running", "unknown page.key",
		}},

		// DocsGPT.
		{"DocsGPT is unavailable", func(e *env) { e.docsgpt = "127.0.0.1:" + e.free() }, []string{
			"failure docsgpt.reachable", "failure stream.answer", "unknown isolation.canary",
		}},
		{"another server in place of DocsGPT", func(e *env) {
			e.hidden["/swagger.json"], e.hidden["/api/health"] = notFound, notFound
		}, []string{"failure docsgpt.reachable"}},
		{"another version", func(e *env) { e.hidden["/swagger.json"] = describedAs("/api/user/tokens") }, []string{"failure docsgpt.version"}},
		{"a hidden version", func(e *env) { e.hidden["/swagger.json"] = notFound }, []string{"unknown docsgpt.version"}},
		{"AUTH_TYPE unset", func(e *env) { e.open = true }, []string{"warning docsgpt.unauthenticated"}},
		{"AUTH_TYPE unset, detected by conversations", func(e *env) {
			e.hidden["/api/config"] = notFound
			e.hidden["/api/get_conversations"] = func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, "[]") }
		}, []string{"warning docsgpt.unauthenticated"}},
		{"AUTH_TYPE hidden", func(e *env) { e.hidden["/api/config"] = notFound }, []string{"unknown docsgpt.unauthenticated"}},
		{"DocsGPT's port on an address of this machine", func(e *env) { e.doctor.Local = []string{"127.0.0.1"} }, []string{"failure backend.exposed"}},
		{"DocsGPT's port at --backend", func(e *env) {
			e.startDocsGPT("127.0.0.1")
			e.doctor.Backends = []string{e.docsgpt}
		}, []string{"failure backend.exposed"}},
		{"DocsGPT's port at --backend, with HTTPS", func(e *env) {
			server := httptest.NewTLSServer(describedAs("/api/answer"))
			e.t.Cleanup(server.Close)
			e.doctor.Backends = []string{server.Listener.Addr().String()}
		}, []string{"failure backend.exposed"}},
		{"the gate in place of DocsGPT's port", func(e *env) {
			e.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai health\n}"
			e.doctor.Backends = []string{"127.0.0.1:" + e.port}
		}, nil},
		{"the upstream in an unset placeholder", func(e *env) {
			e.noServer()
			e.gate = "docsgate {env.DOCTOR_NOTHING}"
		}, []string{"failure config.loads", "note config.running", "unknown docsgpt.reachable", "unknown feeds.readable", "unknown gate.answers"}},

		// Keys.
		{"no feed", func(e *env) { e.options = "docsgpt_version 1.1" }, []string{
			"failure feeds.configured", "failure key.valid", "failure page.key", "unknown isolation.canary",
		}},
		{"no keys", func(e *env) { e.writeFile("keys.yaml", "keys: []\n") }, []string{
			"failure key.valid", "failure page.key", "unknown isolation.canary", "warning feeds.keys",
		}},
		{"a feed that fails", func(e *env) {
			e.after = func() {
				e.writeFile("keys.yaml", "keys: {\n")
				e.until(`caddy_docsgate_feed_up{feed="file:` + e.path("keys.yaml") + `"} 0`)
			}
		}, []string{"failure config.loads", "failure feeds.readable"}},
		{"an unknown key", func(e *env) { e.writeFile("token", "another-token") }, []string{
			"failure key.valid", "unknown isolation.canary",
		}},
	})
}
