package commands

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Here it is a way past the gate, a server in between, or a log.
func TestDoctorNetworkFaults(t *testing.T) {
	runCases(t, []faultCase{
		// Past the gate.
		{"a path past the gate", func(w *doctorEnv) {
			w.open = true
			w.before = "handle /api/answer {\nreverse_proxy {$DOCSGPT}\n}"
		}, []string{
			"failure isolation.canary", "failure errors.shape", "failure gate.unauthenticated_access",
			"warning docsgpt.unauthenticated",
		}},
		{"DocsGPT's administration beside the gate", func(w *doctorEnv) {
			w.before = "handle /swagger.json {\nreverse_proxy {$DOCSGPT}\n}"
			w.hidden["/swagger.json"] = func(out http.ResponseWriter, r *http.Request) {
				out.Header().Set("Access-Control-Allow-Origin", "*")
				describedAs("/api/sources/defaults")(out, r)
			}
		}, []string{"failure gate.admin_paths"}},
		{"another site past the gate, for everybody", func(w *doctorEnv) {
			w.hidden["/api/get_agents"] = func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, "[]") }
			w.more = w.secondSite("", "")
		}, []string{"failure backend.exposed"}},
		{"another site past the gate, with DocsGPT's login", func(w *doctorEnv) { w.more = w.secondSite("", "") }, []string{"note backend.exposed"}},
		{"another site past the gate, with a password", func(w *doctorEnv) {
			w.more = w.secondSite("basic_auth {\nme $2a$14$7NVxBVCZqe9YX4BvqIBLCO4fYKo.WbHF3F4JC0pi7Z1HRZOvHqVVm\n}", "")
		}, nil},
		{"another site past the gate, for some addresses", func(w *doctorEnv) {
			w.more = w.secondSite("@others not remote_ip private_ranges\nabort @others", "")
		}, nil},
		{"another site past the gate, on this machine only", func(w *doctorEnv) { w.more = w.secondSite("", "bind 127.0.0.1") }, nil},
		{"a key bound to a foreign source", func(w *doctorEnv) { w.writeFile("token", otherToken) }, []string{"failure isolation.canary"}},
		{"a DocsGPT key that DocsGPT does not know", func(w *doctorEnv) { w.t.Setenv("DOCTOR_AGENT", "test-agent-key-unknown") }, []string{
			"failure stream.answer", "unknown isolation.canary",
		}},

		// In between.
		{"answers collected, with their length", func(w *doctorEnv) { w.middlebox(collect(true)) }, []string{"failure stream.buffered"}},
		{"answers to OpenAI clients collected, with their length", func(w *doctorEnv) {
			w.gate = "docsgate {$DOCSGPT} {\nendpoints openai\n}"
			w.middlebox(collect(true))
		}, []string{"failure stream.buffered"}},
		{"answers collected", func(w *doctorEnv) {
			w.pace = 80 * time.Millisecond
			w.doctor.Source, w.doctor.Canary = "", "" // three long answers are enough
			w.middlebox(collect(false))
		}, []string{"failure stream.buffered"}},
		{"a server in between that does nothing", func(w *doctorEnv) {
			w.slowAnswers()
			w.middlebox(func(*http.Response) error { return nil })
		}, nil},
		{"answers too quick to tell", func(w *doctorEnv) { w.middlebox(collect(false)) }, []string{tooQuick}},
		{"CORS twice", func(w *doctorEnv) {
			w.middlebox(func(r *http.Response) error {
				r.Header.Add("Access-Control-Allow-Origin", "*")
				return nil
			})
		}, []string{"failure cors.answers", "failure cors.preflight"}},
		{"CORS twice in one line", func(w *doctorEnv) { w.before = `header >Access-Control-Allow-Origin "*, *"` }, []string{
			"failure cors.answers", "failure cors.preflight",
		}},
		{"no CORS on refusals", func(w *doctorEnv) {
			w.middlebox(func(r *http.Response) error {
				if r.StatusCode >= 400 {
					r.Header.Del("Access-Control-Allow-Origin")
				}
				return nil
			})
		}, []string{"failure cors.answers"}},
		{"preflights refused", func(w *doctorEnv) { w.before = "@preflight method OPTIONS\nrespond @preflight 405" }, []string{"failure cors.preflight"}},
		{"errors replaced", func(w *doctorEnv) {
			w.middlebox(func(r *http.Response) error {
				if r.StatusCode >= 400 {
					r.Body = io.NopCloser(strings.NewReader("<h1>Sorry</h1>"))
					r.Header.Set("Content-Type", "text/html")
					r.Header.Del("Content-Length")
					r.ContentLength = -1
				}
				return nil
			})
		}, []string{"failure errors.shape", "note gate.answers", "unknown key.valid", "unknown page.key"}},
		{"statuses replaced", func(w *doctorEnv) {
			w.middlebox(func(r *http.Response) error {
				if r.StatusCode == http.StatusUnauthorized {
					r.StatusCode = http.StatusBadRequest
				}
				return nil
			})
		}, []string{"failure errors.shape"}},

		// Logs.
		{"an access log without filters", func(w *doctorEnv) { w.access = "" }, []string{"failure log.leak", "warning log.filter"}},
		{"a default log without filters", func(w *doctorEnv) { w.logging = "" }, []string{"warning log.filter"}},
		{"a filter that is not enough", func(w *doctorEnv) {
			w.access = "format filter {\nrequest>headers>X-Api-Key delete\n}"
		}, []string{"failure log.leak", "warning log.filter"}},
		{"credentials in the log", func(w *doctorEnv) { w.global = "servers {\nlog_credentials\n}" }, []string{
			"failure log.credentials", "failure log.leak",
		}},
		{"handlers in the log", func(w *doctorEnv) { w.global = "servers {\ntrace\n}" }, []string{"failure log.trace"}},
		{"the log of another gate", func(w *doctorEnv) {
			w.writeFile("other.log", "")
			w.edit("access.log", "other.log")
		}, []string{"note config.running", "unknown log.leak"}},
		{"logs that cannot be read", func(w *doctorEnv) { w.edit(w.dir+"/access.log", w.dir+"/gone/access.log") }, []string{
			"note config.running", "unknown log.leak",
		}},
	})
}

// collect makes a server in between send nothing until it has the whole answer.
func collect(length bool) func(*http.Response) error {
	return func(r *http.Response) error {
		whole, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(whole))
		if length {
			r.ContentLength = int64(len(whole))
			r.TransferEncoding = nil
			r.Header.Set("Content-Length", strconv.Itoa(len(whole)))
		}
		return nil
	}
}
