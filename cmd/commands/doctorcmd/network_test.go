package doctorcmd

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Faults on the network, such as paths that bypass the gate or servers in front of it, and faults of logs.
func TestNetworkFaults(t *testing.T) {
	runCases(t, []faultCase{
		// Bypassing the gate.
		{"a path that bypasses the gate", func(e *env) {
			e.open = true
			e.before = "handle /api/answer {\nreverse_proxy {$DOCSGPT}\n}"
		}, []string{
			"failure isolation.canary", "failure errors.shape", "failure gate.unauthenticated_access",
			"warning docsgpt.unauthenticated",
		}},
		{"DocsGPT's administration on the gate's site", func(e *env) {
			e.before = "handle /swagger.json {\nreverse_proxy {$DOCSGPT}\n}"
			e.hidden["/swagger.json"] = func(out http.ResponseWriter, r *http.Request) {
				out.Header().Set("Access-Control-Allow-Origin", "*")
				describedAs("/api/sources/defaults")(out, r)
			}
		}, []string{"failure gate.admin_paths"}},
		{"a bypassing site without authentication", func(e *env) {
			e.hidden["/api/get_agents"] = func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, "[]") }
			e.more = e.secondSite("", "")
		}, []string{"failure backend.exposed"}},
		{"a bypassing site, login of DocsGPT", func(e *env) { e.more = e.secondSite("", "") }, []string{"note backend.exposed"}},
		{"a bypassing site with basic_auth", func(e *env) {
			e.more = e.secondSite("basic_auth {\nme $2a$14$7NVxBVCZqe9YX4BvqIBLCO4fYKo.WbHF3F4JC0pi7Z1HRZOvHqVVm\n}", "")
		}, nil},
		{"a bypassing site for some client addresses", func(e *env) {
			e.more = e.secondSite("@others not remote_ip private_ranges\nabort @others", "")
		}, nil},
		{"a bypassing site on loopback", func(e *env) { e.more = e.secondSite("", "bind 127.0.0.1") }, nil},
		{"a key bound to the other source", func(e *env) { e.writeFile("token", otherToken) }, []string{"failure isolation.canary"}},
		{"an agent key that is not valid in DocsGPT", func(e *env) { e.t.Setenv("DOCTOR_AGENT", "test-agent-key-unknown") }, []string{
			"failure stream.answer", "unknown isolation.canary",
		}},

		// Servers in front of the gate.
		{"buffered, with Content-Length", func(e *env) { e.middlebox(buffer(true)) }, []string{"failure stream.buffered"}},
		{"buffered for OpenAI clients, with Content-Length", func(e *env) {
			e.gate = "docsgate {$DOCSGPT} {\nendpoints openai\n}"
			e.middlebox(buffer(true))
		}, []string{"failure stream.buffered"}},
		{"buffered", func(e *env) {
			e.pace = 80 * time.Millisecond
			e.doctor.Source, e.doctor.Canary = "", "" // three long answers are enough
			e.middlebox(buffer(false))
		}, []string{"failure stream.buffered"}},
		{"a transparent proxy", func(e *env) {
			e.slowAnswers()
			e.middlebox(func(*http.Response) error { return nil })
		}, nil},
		{"too fast to check buffering", func(e *env) { e.middlebox(buffer(false)) }, []string{tooQuick}},
		{"two CORS headers", func(e *env) {
			e.middlebox(func(r *http.Response) error {
				r.Header.Add("Access-Control-Allow-Origin", "*")
				return nil
			})
		}, []string{"failure cors.answers", "failure cors.preflight"}},
		{"two values in a CORS header", func(e *env) { e.before = `header >Access-Control-Allow-Origin "*, *"` }, []string{
			"failure cors.answers", "failure cors.preflight",
		}},
		{"no CORS header on error responses", func(e *env) {
			e.middlebox(func(r *http.Response) error {
				if r.StatusCode >= 400 {
					r.Header.Del("Access-Control-Allow-Origin")
				}
				return nil
			})
		}, []string{"failure cors.answers"}},
		{"preflights rejected", func(e *env) { e.before = "@preflight method OPTIONS\nrespond @preflight 405" }, []string{"failure cors.preflight"}},
		{"error responses replaced", func(e *env) {
			e.middlebox(func(r *http.Response) error {
				if r.StatusCode >= 400 {
					r.Body = io.NopCloser(strings.NewReader("<h1>Sorry</h1>"))
					r.Header.Set("Content-Type", "text/html")
					r.Header.Del("Content-Length")
					r.ContentLength = -1
				}
				return nil
			})
		}, []string{"failure errors.shape", "note gate.answers", "unknown key.valid", "unknown page.key"}},
		{"status replaced", func(e *env) {
			e.middlebox(func(r *http.Response) error {
				if r.StatusCode == http.StatusUnauthorized {
					r.StatusCode = http.StatusBadRequest
				}
				return nil
			})
		}, []string{"failure errors.shape"}},

		// Logs.
		{"an access log without the encoder", func(e *env) { e.access = "" }, []string{"failure log.leak", "warning log.format"}},
		{"a default log without the encoder", func(e *env) { e.logging = "" }, []string{"warning log.format"}},
		{"a log of panics without the encoder", func(e *env) {
			e.global = "log panics {\ninclude http.stdlib\noutput file " + e.path("panics.log") + "\n}"
		}, []string{"warning log.format"}},
		{"filters instead of the encoder", func(e *env) {
			e.access = "format filter {\nrequest>headers>X-Api-Key delete\nrequest>headers>Api-Key delete\nrequest>headers>X-Key delete\n" +
				"request>uri query {\nreplace api_key REDACTED\nreplace key REDACTED\nreplace token REDACTED\n}\n}"
		}, []string{"failure log.leak", "warning log.format"}},
		{"an encoder around it", func(e *env) { e.access = "format append {\nwrap docsgate\nserver one\n}" }, nil},
		{"credentials in the log", func(e *env) {
			e.global, e.access = "servers {\nlog_credentials\n}", ""
		}, []string{"failure log.credentials", "failure log.leak", "warning log.format"}},
		{"credentials that the encoder removes", func(e *env) { e.global = "servers {\nlog_credentials\n}" }, []string{"failure log.credentials"}},
		{"trace in the log", func(e *env) { e.global = "servers {\ntrace\n}" }, []string{"failure log.trace"}},
		{"the log of another gate", func(e *env) {
			e.writeFile("other.log", "")
			e.edit("access.log", "other.log")
		}, []string{"note config.running", "unknown log.leak"}},
		{"unreadable logs", func(e *env) { e.edit(e.dir+"/access.log", e.dir+"/gone/access.log") }, []string{
			"note config.running", "unknown log.leak",
		}},
	})
}

// buffer returns a ModifyResponse that reads the whole body before the proxy sends it; with length, it sets Content-Length.
func buffer(length bool) func(*http.Response) error {
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
