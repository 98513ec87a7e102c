package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// adopt adds a key of a feed of DocsGPT.
func (w *testServer) adopt() (token string) {
	w.t.Helper()
	return w.adoptAs("agent_1")
}

// adoptAs is like adopt, with the ID of the key, which replaces the feed's other keys.
func (w *testServer) adoptAs(id string) (token string) {
	w.t.Helper()
	token = "token-of-an-agent"
	if _, err := w.desk.Store.Replace("docsgpt:test", []keys.Key{{
		ID: id, Name: "Agent", Digest: keys.DigestOf(token), Binding: keys.Binding{Agent: keys.NewSecret(token)},
	}}); err != nil {
		w.t.Fatal(err)
	}
	return token
}

// A key that DocsGPT has made can be restricted and disabled, also after a restart.
func TestKeysOfDocsGPT(t *testing.T) {
	w := newTestServer(t)
	token := w.adopt()
	const path = "/v1/keys/agent_1"
	got := w.call("PATCH", path, `{"kind":"publishable","origins":["https://docs.example.com"],"limits":{"streams":5}}`).want(http.StatusOK)
	const want = `"kind":"publishable","origins":["https://docs.example.com"],"limits":{"streams":5},"overrides":["kind","origins","limits"]`
	if !strings.Contains(got.Body, want) || got.key().Issued || got.key().State != "active" {
		t.Errorf("changed: %s", got.Body)
	}
	if p := w.desk.Store.Get("agent_1").Policy; p == nil || len(p.Origins) != 1 {
		t.Errorf("the gate has the policy %+v", p)
	}
	if got := w.call("POST", path+"/disable", "").want(http.StatusOK); got.key().State != "disabled" || !strings.Contains(got.Body, `"overrides":["state",`) {
		t.Errorf("disabled: %s", got.Body)
	}
	w.open()
	w.adopt()
	if got := w.call("GET", path, "").want(http.StatusOK); got.key().State != "disabled" || w.decision(token) != keys.DisabledKey {
		t.Errorf("after a restart: %s", got.Body)
	}
	if got := w.call("GET", "/v1/keys?state=disabled&q=agent_1", "").want(http.StatusOK); !strings.Contains(got.Body, `"agent_1"`) {
		t.Errorf("listed: %s", got.Body)
	}
	w.call("POST", path+"/enable", "").want(http.StatusOK)
	got = w.call("PATCH", path, `{"kind":null,"origins":null,"limits":null}`).want(http.StatusOK)
	if strings.Contains(got.Body, "overrides") || got.key().State != "active" || w.decision(token) != keys.Allowed {
		t.Errorf("without changes: %s", got.Body)
	}
	for body, pointer := range map[string]string{
		`{"name":"x"}`: "/name", `{"expires":null}`: "/expires", `{"source":"s"}`: "/source", `{"agent":"from-file"}`: "/agent",
		`{"kind":"publishable"}`: "/origins",
	} {
		if p := w.call("PATCH", path, body).problem(http.StatusUnprocessableEntity, "invalid"); p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v", body, p)
		}
	}
	for _, verb := range []string{"/rotate", "/revoke"} {
		w.call("POST", path+verb, "").problem(http.StatusConflict, "read_only_feed")
	}
}
