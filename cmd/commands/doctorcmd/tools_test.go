package doctorcmd

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

const ownerAccessToken = "dgpt_pat_test-access"

// listing serves DocsGPT's list of the tools of an account.
func listing(tools string) http.HandlerFunc {
	return func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+ownerAccessToken {
			out.WriteHeader(http.StatusUnauthorized)
			return
		}
		sendJSON(out, `{"success":true,"tools":[`+tools+`]}`)
	}
}

// credential sets upstream_token and more options, and DocsGPT's handler for the list of tools; nil: access is denied.
func (e *env) credential(options string, tools http.HandlerFunc) {
	e.t.Setenv("DOCTOR_ACCESS", ownerAccessToken)
	e.options += "\nupstream_token {env.DOCTOR_ACCESS}\n" + options
	if tools == nil {
		tools = func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/json")
			out.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(out, `{"error":"insufficient_scope","success":false}`)
		}
	}
	e.hidden["/api/get_tools"] = tools
}

func TestToolsFinding(t *testing.T) {
	const (
		memory   = `{"name":"memory","default":true,"in_chat":true,"status":true}`
		off      = `{"name":"memory","default":true,"in_chat":false,"status":true}`
		forAgent = `{"name":"code_executor","default":false,"builtin":true,"status":true}`
		older    = `{"name":"brave","status":true}`
		olderOff = `{"name":"brave","status":false}`
	)
	both := func(options, tools string) func(*env) {
		return func(e *env) { e.credential(options, listing(tools)) }
	}
	runCases(t, []faultCase{
		{"offered", both("", memory+","+forAgent), []string{"failure docsgpt.tools"}},
		{"offered, configured as none", both("upstream_tools none", memory), []string{"failure docsgpt.tools"}},
		{"offered by an older version", both("", older), []string{"failure docsgpt.tools"}},
		{"not offered", both("", off+","+forAgent+","+olderOff), nil},
		{"allowed", both("upstream_tools allow", memory), []string{"note docsgpt.tools"}},
		{"access denied", func(e *env) { e.credential("", nil) }, []string{"unknown docsgpt.tools"}},
		{"access denied, configured as none", func(e *env) { e.credential("upstream_tools none", nil) }, []string{"note docsgpt.tools"}},
		{"not listed", func(e *env) { e.credential("", http.NotFound) }, []string{"unknown docsgpt.tools"}},
		{"an invalid list", func(e *env) {
			e.credential("", func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, `{"tools": 1}`) })
		}, []string{"unknown docsgpt.tools"}},
		{"tool call in an answer", func(e *env) {
			e.credential("", nil)
			e.sourceKey()
			e.doctor.Question = "[[tool=memory]]"
		}, []string{"failure docsgpt.tools"}},
	})
}

// sourceKey binds the key of the doctor to a source.
func (e *env) sourceKey() {
	e.tokens = map[string][]string{ownerAccessToken: nil}
	e.writeFile("keys.yaml", fmt.Sprintf("keys:\n  - {id: docs, sha256: %s, source: [%q]}\n", keys.DigestOf(gateToken).Hex(), ownSource))
	e.gate = "docsgate {$DOCSGPT}"
}

// The doctor does not print upstream_token, even if a response of DocsGPT contains it.
func TestRedactsCredential(t *testing.T) {
	e := newEnv(t)
	e.credential("", listing(`{"name":"`+ownerAccessToken+`","in_chat":true}`))
	e.start()
	findings, _ := e.examine()
	for _, f := range findings {
		if f.ID == "docsgpt.tools" && f.Summary != "" {
			return
		}
	}
	t.Error("there is no finding")
}
