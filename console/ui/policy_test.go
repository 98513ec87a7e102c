package ui

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// withNonce returns the fields of a new key with the nonce of a form.
func (w *testServer) withNonce(pairs ...string) []string {
	w.Helper()
	return append([]string{"nonce", w.field(w.get("/new").body, "nonce"), "name", "Docs site", "binding", "source", "sources", "handbook", "lifetime", "never"}, pairs...)
}

func TestCreateWithPolicy(t *testing.T) {
	w := newTestServer(t)
	a := w.post("/new", w.withNonce("kind", "publishable", "origins", "https://docs.example.com\r\n https://*.example.org\r\n", "ips", "192.0.2.0/24",
		"endpoint", "widget", "endpoint", "speech", "limit_visitor_requests", "20/1m", "limit_streams", "off", "limit_message", "Wait <i>{wait}</i>.")...)
	w.want(a, http.StatusCreated)
	token := tokens.FindString(a.body)
	k := w.desk.Store.Lookup(keys.DigestOf(token))
	if k == nil || !strings.HasPrefix(token, "dgp_") || k.Policy == nil {
		t.Fatalf("token %.4s, key %+v", token, k)
	}
	p := *k.Policy
	if p.Kind != policy.Publishable || joinLines(p.Origins) != "https://docs.example.com\nhttps://*.example.org" || joinLines(p.IPs) != "192.0.2.0/24" ||
		strings.Join(p.Endpoints, " ") != "widget speech" || p.Limits.VisitorRequests.String() != "20/1m" || p.Limits.Streams != policy.Off() ||
		p.LimitMessage != "Wait <i>{wait}</i>." {
		t.Errorf("policy %+v", p)
	}
	w.want(w.get("/keys/"+k.ID), 200, "Answers from handbook, on pages of docs.example.com and *.example.org, for clients in 192.0.2.0/24, at widget and speech, "+
		"20 requests a minute per visitor, streams not limited.")
	if _, token := w.makeUsual(); w.desk.Store.Lookup(keys.DigestOf(token)).Policy != nil {
		t.Error("a key has a policy without any field")
	}
}

// Errors are at their fields, and nothing that was typed is lost.
func TestPolicyErrors(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	before := w.count()
	for field, pairs := range map[string][]string{
		"kind":                   {"kind", "public"},
		"origins":                {"kind", "publishable", "origins", "https://a.example\nb.example"},
		"ips":                    {"ips", "192.0.2.1/24"},
		"endpoints":              {"endpoint", "admin"},
		"limit_requests":         {"limit_requests", "many"},
		"limit_question_chars":   {"limit_question_chars", "0"},
		"limits":                 {"limit_streams", "1", "limit_visitor_streams", "2"},
		"limit_message":          {"limit_message", "Wait {seconds}."},
		"origins without a kind": nil,
	} {
		if pairs == nil {
			field, pairs = "origins", []string{"kind", "publishable"}
		}
		for path, form := range map[string][]string{"/new": w.withNonce(pairs...), "/keys/" + id: append([]string{"was_kind", "", "name", "x", "was_name", "x"}, pairs...)} {
			a := w.post(path, form...)
			w.want(a, http.StatusUnprocessableEntity)
			if !strings.Contains(a.body, `id="`+field+`-error"`) {
				t.Errorf("%s: the error is not at %s:\n%s", path, field, text(a.body))
			}
			for i := 1; i < len(pairs); i += 2 {
				if pairs[i-1] != "kind" && pairs[i-1] != "endpoint" && !strings.Contains(a.body, pairs[i]) {
					t.Errorf("%s: %q is lost", path, pairs[i])
				}
			}
		}
	}
	if w.count() != before {
		t.Error("a key was made")
	}
	w.want(w.post("/keys/"+id, "was_kind", "", "origins", "https://a.example\nb.example"), http.StatusUnprocessableEntity, "Line 2: An origin must be")
}

// The form of a key stores only what was changed in it.
func TestUpdatePolicy(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	form := policyFormOf(nil)
	send := func(pairs ...string) response {
		all := []string{"name", "Docs site", "was_name", "Docs site"}
		for name, text := range form.Was {
			all = append(all, "was_"+name, text)
		}
		return w.post("/keys/"+id, append(all, pairs...)...)
	}
	w.leadsTo(send("kind", "secret", "limit_requests", "60/1m", "limit_streams", "9"), "/keys/"+id+"?done=changed")
	form = policyFormOf(w.desk.Store.Get(id).Policy)
	if _, err := w.desk.Registry.Update(t.Context(), registry.Actor{}, id, registry.UpdateRequest{Policy: registry.PolicyChange{Endpoints: &[]string{"mcp"}}}); err != nil {
		t.Fatal(err)
	}
	w.leadsTo(send("kind", "secret", "limit_requests", "60/1m", "limit_streams", "9"), "/keys/"+id+"?done=same")
	w.leadsTo(send("kind", "", "limit_requests", "", "limit_streams", "9", "limit_message", "Wait {wait}."), "/keys/"+id+"?done=changed")
	p := w.desk.Store.Get(id).Policy
	if p == nil || p.Kind != policy.AnyKind || !p.Limits.Requests.IsZero() || p.Limits.Streams.Count() != 9 || len(p.Endpoints) != 1 || p.LimitMessage != "Wait {wait}." {
		t.Errorf("policy %+v", p)
	}
	w.want(w.get("/keys/"+id), 200, "at mcp", "9 answers at a time in total")
}

// Presets and the preview work without scripts, and keep the other fields.
func TestPolicyAssistance(t *testing.T) {
	w := newTestServer(t)
	before := w.count()
	a := w.post("/new", w.withNonce("do", "preset-public", "origins", "https://docs.example.com", "limit_streams", "7", "limit_message", "Wait.")...)
	w.want(a, 200, "Publishable")
	for _, part := range []string{
		`name="kind" value="publishable" checked`, `name="limit_visitor_requests" value="20/1m"`, `name="limit_streams" value=""`, ">https://docs.example.com</textarea>",
		`name="name" value="Docs site"`, `name="endpoint" value="widget" checked`, `name="limit_message" value="Wait."`,
	} {
		if !strings.Contains(a.body, part) {
			t.Errorf("the form does not contain %s", part)
		}
	}
	for address, want := range map[string]string{
		"https://docs.example.com":       "https://docs.example.com: allowed",
		"https://docs.example.com/a?b=c": "https://docs.example.com: allowed",
		"https://shop.example.com":       "https://shop.example.com: origin_not_allowed",
		"https://*.example.com":          "Enter the address of a page",
		"shop":                           "Enter the address of a page",
	} {
		fields := []string{"kind", "publishable", "origins", "https://docs.example.com", "preview_origin", address}
		w.want(w.post("/new", w.withNonce(append(fields, "do", "preview")...)...), 200, want)
		if a := w.post("/preview", fields...); a.Code != 200 || !strings.HasPrefix(a.body, want) || a.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: status %d, %s", address, a.Code, a.body)
		}
	}
	if a := w.post("/preview", "kind", "secret", "preview_origin", "https://a.example"); a.body != "https://a.example: secret_key_in_browser" {
		t.Errorf("a secret key: %s", a.body)
	}
	if a := w.post("/preview", "origins", "nonsense", "preview_origin", "https://a.example"); a.body != "Correct the invalid fields first." {
		t.Errorf("an invalid form: %s", a.body)
	}
	if w.count() != before {
		t.Error("a key was made")
	}
}

// Adopted keys can be restricted and disabled, and a token can be created for their agent. Keys of a file cannot be changed.
func TestAdoptedKey(t *testing.T) {
	const agentKey = "0c1f7a4e-93b8-4d59-a53c-5d1e2b7f6a90"
	w := newTestServer(t)
	defer w.desk.Registry.ApplyOverrides(w.desk.Store)()
	adopted := keys.Key{
		ID: "agent_1", Name: "Support", Digest: keys.DigestOf(agentKey), Hint: "6a90", Binding: keys.Binding{Agent: keys.NewSecret(agentKey)},
		Facts: &keys.AgentInfo{Sources: []string{"manual"}},
	}
	if _, err := w.desk.Store.Replace("docsgpt:db/docsgpt", []keys.Key{adopted}); err != nil {
		t.Fatal(err)
	}
	page := w.get("/keys/agent_1")
	w.want(page, 200, "...6a90", "Answers from the agent Support, on any page and for servers", "Sources of the agent", "manual", "Disable here", "Create a token for this agent")
	if strings.Contains(page.body, `name="name"`) || strings.Contains(page.body, agentKey) {
		t.Error("the name can be changed, or the key is in the page")
	}
	form := w.get("/new?agent=agent_1")
	if !strings.Contains(form.body, `<option value="agent_1" selected>`) || !strings.Contains(form.body, `value="agent" checked`) {
		t.Error("the agent is not selected")
	}
	w.leadsTo(w.post("/keys/agent_1", "was_kind", "", "origins", "https://docs.example.com"), "/keys/agent_1?done=changed")
	w.leadsTo(w.post("/keys/agent_1/disable"), "/keys/agent_1?done=disabled")
	w.want(w.get("/keys/agent_1"), 200, "on pages of docs.example.com", "Changed here: state, origins", "Enable here")
	if k := w.desk.Store.Get("agent_1"); k.State != keys.Disabled {
		t.Errorf("state %s", k.State)
	}
	w.leadsTo(w.post("/keys/agent_1/enable"), "/keys/agent_1?done=enabled")
	if k := w.desk.Store.Get("agent_1"); k.State != keys.Active {
		t.Errorf("state %s", k.State)
	}
	w.want(w.post("/keys/status-page/disable"), http.StatusConflict, "read-only")
}

// "Try it" sends an origin that the key allows.
func TestTryOrigin(t *testing.T) {
	w := newTestServer(t)
	var got []string
	w.desk.TestQuery = func(_ context.Context, q keyservice.TestQuestion, _ io.Writer) (int, error) {
		got = append(got, q.Origin)
		return http.StatusOK, nil
	}
	for _, origins := range []string{"https://docs.example.com", "https://*.example.org:8443\nhttps://a.example", "*", ""} {
		a := w.post("/new", w.withNonce("origins", origins)...)
		w.want(a, http.StatusCreated)
		w.want(w.post("/try", "token", tokens.FindString(a.body), "question", "Hello?"), 200)
	}
	if want := "https://docs.example.com https://www.example.org:8443  "; strings.Join(got, " ") != want {
		t.Errorf("origins %q", got)
	}
}

func TestCreateFormWarnsWithoutCredential(t *testing.T) {
	w := newTestServer(t)
	const warning = "The gate has no credential for DocsGPT"
	if strings.Contains(w.get("/new").body, warning) {
		t.Error("a warning although there is a credential")
	}
	w.desk.NoCredential = true
	w.want(w.get("/new"), 200, warning)
}

func TestEndGrace(t *testing.T) {
	w := newTestServer(t)
	id, old := w.makeUsual()
	if _, err := w.desk.Registry.Rotate(t.Context(), fixtures.TestActor, id, time.Hour); err != nil {
		t.Fatal(err)
	}
	w.want(w.get("/keys/"+id), 200, "The previous token stays valid", "End the grace period now")
	w.leadsTo(w.post("/keys/"+id+"/end-grace"), "/keys/"+id+"?done=ended")
	if w.desk.Store.Lookup(keys.DigestOf(old)) != nil || strings.Contains(w.get("/keys/"+id).body, "End the grace") {
		t.Error("the previous token is still valid")
	}
	w.want(w.post("/keys/status-page/end-grace"), http.StatusConflict)
}
