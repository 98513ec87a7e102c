package commands

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

const ownerAccessToken = "dgpt_pat_test-access"

// listing is DocsGPT's answer with the tools of an account.
func listing(tools string) http.HandlerFunc {
	return func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+ownerAccessToken {
			out.WriteHeader(http.StatusUnauthorized)
			return
		}
		sendJSON(out, `{"success":true,"tools":[`+tools+`]}`)
	}
}

// credential gives the gate a credential, with further options, and DocsGPT a list of tools; nil: it may not be read.
func (w *doctorEnv) credential(options string, tools http.HandlerFunc) {
	w.t.Setenv("DOCTOR_ACCESS", ownerAccessToken)
	w.options += "\nupstream_token {env.DOCTOR_ACCESS}\n" + options
	if tools == nil {
		tools = func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/json")
			out.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(out, `{"error":"insufficient_scope","success":false}`)
		}
	}
	w.hidden["/api/get_tools"] = tools
}

func TestDoctorToolsFinding(t *testing.T) {
	const (
		memory   = `{"name":"memory","default":true,"in_chat":true,"status":true}`
		off      = `{"name":"memory","default":true,"in_chat":false,"status":true}`
		forAgent = `{"name":"code_executor","default":false,"builtin":true,"status":true}`
		older    = `{"name":"brave","status":true}`
		olderOff = `{"name":"brave","status":false}`
	)
	both := func(options, tools string) func(*doctorEnv) {
		return func(w *doctorEnv) { w.credential(options, listing(tools)) }
	}
	runCases(t, []faultCase{
		{"offered", both("", memory+","+forAgent), []string{"failure docsgpt.tools"}},
		{"offered, against what the configuration says", both("upstream_tools none", memory), []string{"failure docsgpt.tools"}},
		{"offered by an older version", both("", older), []string{"failure docsgpt.tools"}},
		{"not offered", both("", off+","+forAgent+","+olderOff), nil},
		{"allowed", both("upstream_tools allow", memory), []string{"note docsgpt.tools"}},
		{"not to be read", func(w *doctorEnv) { w.credential("", nil) }, []string{"unknown docsgpt.tools"}},
		{"not to be read, and said to be none", func(w *doctorEnv) { w.credential("upstream_tools none", nil) }, []string{"note docsgpt.tools"}},
		{"not listed", func(w *doctorEnv) { w.credential("", http.NotFound) }, []string{"unknown docsgpt.tools"}},
		{"a list that is none", func(w *doctorEnv) {
			w.credential("", func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, `{"tools": 1}`) })
		}, []string{"unknown docsgpt.tools"}},
		{"seen in an answer", func(w *doctorEnv) {
			w.credential("", nil)
			w.sourceKey()
			w.doctor.Question = "[[tool=memory]]"
		}, []string{"failure docsgpt.tools"}},
	})
}

// sourceKey binds the doctor's key to a source.
func (w *doctorEnv) sourceKey() {
	w.tokens = map[string][]string{ownerAccessToken: nil}
	w.writeFile("keys.yaml", fmt.Sprintf("keys:\n  - {id: docs, sha256: %s, source: [%q]}\n", keys.DigestOf(gateToken).Hex(), ownSource))
	w.gate = "docsgate {$DOCSGPT}"
}

// The doctor prints no credential, whatever DocsGPT says.
func TestDoctorRedactsCredential(t *testing.T) {
	w := newDoctorEnv(t)
	w.credential("", listing(`{"name":"`+ownerAccessToken+`","in_chat":true}`))
	w.start()
	findings, _ := w.examine()
	for _, f := range findings {
		if f.ID == "docsgpt.tools" && f.Summary != "" {
			return
		}
	}
	t.Error("there is no finding")
}
