package commands

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// faultCase is a way to break a deployment, with the findings that are not "ok" and that the doctor then has.
type faultCase struct {
	name   string
	breaks func(*doctorEnv)
	want   []string
}

// tooQuick is the finding of a stream that is written at once.
const tooQuick = "unknown stream.buffered"

// runCases tests that each broken deployment gives the findings that it should, and no others. DocsGPT writes its answers
// at once but where a case sets a pace: then it is not told whether they are held back.
func runCases(t *testing.T, all []faultCase) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			w := newDoctorEnv(t)
			c.breaks(w)
			w.start()
			findings, _ := w.examine()
			slices.Sort(c.want)
			got := notOK(findings)
			if w.pace == 0 && !slices.Contains(c.want, tooQuick) {
				got = slices.DeleteFunc(got, func(f string) bool { return f == tooQuick })
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

// Here it is the configuration, DocsGPT or the keys; a whole deployment gives no findings.
func TestDoctorConfigFaults(t *testing.T) {
	notFound := http.NotFound
	runCases(t, []faultCase{
		{"whole", (*doctorEnv).slowAnswers, nil},
		{"whole, with reverse_proxy", func(w *doctorEnv) {
			w.slowAnswers()
			w.gate = "docsgate {\nendpoints widget openai\n}\nreverse_proxy {$DOCSGPT}"
		}, nil},
		{"whole, with the key in a script of the page", func(w *doctorEnv) {
			w.page = `<div id=app></div><script src="/app.js"></script>`
		}, nil},
		{"whole, without --url", func(w *doctorEnv) {
			w.slowAnswers()
			w.doctor.URL, w.page = "", ""
		}, nil},
		{"whole, without a key", func(w *doctorEnv) { w.doctor.keyFile, w.doctor.Source, w.doctor.Canary = "", "", "" }, nil},

		{"whole, for some paths of a site", func(w *doctorEnv) {
			w.slowAnswers()
			w.gate = "handle /stream* {\ndocsgate {$DOCSGPT}\n}\nhandle {\nrespond <h1>Welcome</h1>\n}"
		}, nil},
		{"whole, for OpenAI clients only", func(w *doctorEnv) {
			w.slowAnswers()
			w.gate = "docsgate {$DOCSGPT} {\nendpoints openai\n}"
		}, nil},
		{"whole, with a DocsGPT that answers its own pages only", func(w *doctorEnv) { w.strict = true }, nil},
		{"whole, on two sites", func(w *doctorEnv) {
			w.more = "http://second.localhost:" + w.free() + " {\nbind 127.0.0.1\ndocsgate {$DOCSGPT}\n}"
		}, []string{"note gate.answers"}},

		// The configuration.
		{"a mistake in the Caddyfile", func(w *doctorEnv) {
			w.noServer()
			w.gate = "docsgate {$DOCSGPT} {\nendpoint widget\n}"
		}, []string{"failure config.loads"}},
		{"a setting that cannot be met", func(w *doctorEnv) {
			w.noServer()
			w.options = "feed file " + w.path("nowhere.yaml")
		}, []string{"failure config.loads", "note config.running", "unknown feeds.readable", "unknown gate.answers"}},
		{"no gate in it", func(w *doctorEnv) { w.gate = "respond ok" }, []string{
			"failure config.gate", "failure gate.answers", "unknown page.key",
		}},
		{"another configuration runs", func(w *doctorEnv) {
			w.edit("endpoints widget openai", "endpoints openai widget")
		}, []string{"note config.running"}},
		{"nothing runs", (*doctorEnv).noServer, []string{"note config.running", "unknown gate.answers"}},
		{"nothing runs where it should", func(w *doctorEnv) { w.idle = true }, []string{
			"failure gate.answers", "note config.running", "unknown page.key",
		}},

		// DocsGPT.
		{"DocsGPT is away", func(w *doctorEnv) { w.docsgpt = "127.0.0.1:" + w.free() }, []string{
			"failure docsgpt.reachable", "failure stream.answer", "unknown isolation.canary",
		}},
		{"something else is there", func(w *doctorEnv) {
			w.hidden["/swagger.json"], w.hidden["/api/health"] = notFound, notFound
		}, []string{"failure docsgpt.reachable"}},
		{"another version", func(w *doctorEnv) { w.hidden["/swagger.json"] = describedAs("/api/user/tokens") }, []string{"failure docsgpt.version"}},
		{"a version that hides", func(w *doctorEnv) { w.hidden["/swagger.json"] = notFound }, []string{"unknown docsgpt.version"}},
		{"AUTH_TYPE unset", func(w *doctorEnv) { w.open = true }, []string{"warning docsgpt.unauthenticated"}},
		{"AUTH_TYPE unset, seen by a list", func(w *doctorEnv) {
			w.hidden["/api/config"] = notFound
			w.hidden["/api/get_conversations"] = func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, "[]") }
		}, []string{"warning docsgpt.unauthenticated"}},
		{"AUTH_TYPE hidden", func(w *doctorEnv) { w.hidden["/api/config"] = notFound }, []string{"unknown docsgpt.unauthenticated"}},
		{"its port open on this machine", func(w *doctorEnv) { w.doctor.Local = []string{"127.0.0.1"} }, []string{"failure backend.exposed"}},
		{"its port open outside", func(w *doctorEnv) {
			w.startDocsGPT("127.0.0.1")
			w.doctor.Backends = []string{w.docsgpt}
		}, []string{"failure backend.exposed"}},
		{"its port open outside, with HTTPS", func(w *doctorEnv) {
			server := httptest.NewTLSServer(describedAs("/api/answer"))
			w.t.Cleanup(server.Close)
			w.doctor.Backends = []string{server.Listener.Addr().String()}
		}, []string{"failure backend.exposed"}},
		{"the gate in place of DocsGPT's port", func(w *doctorEnv) {
			w.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai health\n}"
			w.doctor.Backends = []string{"127.0.0.1:" + w.port}
		}, nil},
		{"the upstream in a placeholder that nobody sets", func(w *doctorEnv) {
			w.noServer()
			w.gate = "docsgate {env.DOCTOR_NOTHING}"
		}, []string{"failure config.loads", "note config.running", "unknown docsgpt.reachable", "unknown feeds.readable", "unknown gate.answers"}},

		// Keys.
		{"no feed", func(w *doctorEnv) { w.options = "docsgpt_version 1.1" }, []string{
			"failure feeds.configured", "failure key.valid", "failure page.key", "unknown isolation.canary",
		}},
		{"no keys", func(w *doctorEnv) { w.writeFile("keys.yaml", "keys: []\n") }, []string{
			"failure key.valid", "failure page.key", "unknown isolation.canary", "warning feeds.keys",
		}},
		{"a feed that fails", func(w *doctorEnv) {
			w.after = func() {
				w.writeFile("keys.yaml", "keys: {\n")
				w.until(`caddy_docsgate_feed_up{feed="file:` + w.path("keys.yaml") + `"} 0`)
			}
		}, []string{"failure config.loads", "failure feeds.readable"}},
		{"a key that the gate does not know", func(w *doctorEnv) { w.writeFile("token", "another-token") }, []string{
			"failure key.valid", "unknown isolation.canary",
		}},
	})
}
