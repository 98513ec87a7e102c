package api

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// policyOf returns the part of a response about the policy.
func policyOf(r response) string {
	r.t.Helper()
	return regexp.MustCompile(`("(kind|origins|ips|endpoints)":(\[[^\]]*\]|"[^"]*"),?|"limits":\{[^}]*\},?|"limit_message":"[^"]*",?)+`).FindString(r.Body)
}

const fullPolicy = `"kind":"publishable","origins":["https://docs.example.com","https://*.example.org"],"ips":["192.0.2.0/24","2001:db8::1"],` +
	`"endpoints":["widget"],"limits":{"requests":"600/1m","visitor_requests":"20/1h","streams":50,"visitor_streams":2,` +
	`"questions_per_day":1000,"questions_per_month":"off","tokens_per_day":2000000,"question_chars":"off","history_turns":20},"limit_message":"Bitte in {wait_short} erneut: <b>ü</b>.",`

func TestCreateWithPolicy(t *testing.T) {
	w := newTestServer(t)
	created := w.call("POST", "/v1/keys", `{"name":"a","source":"s",`+strings.TrimSuffix(fullPolicy, ",")+`}`).want(http.StatusCreated)
	key := created.key()
	if got := policyOf(created); got != fullPolicy {
		t.Errorf("created with %s", got)
	}
	if !strings.HasPrefix(key.Token, "dgp_") || !strings.HasPrefix(key.Masked, "dgp_...") || w.decision(key.Token) != keys.Allowed {
		t.Errorf("token %.4s, masked %s", key.Token, key.Masked)
	}
	if got := policyOf(w.call("GET", "/v1/keys/"+key.ID, "")); got != fullPolicy {
		t.Errorf("shown with %s", got)
	}
	if got := policyOf(w.call("GET", "/v1/keys?q="+key.ID, "")); got != fullPolicy {
		t.Errorf("listed with %s", got)
	}
	if p := w.desk.Store.Get(key.ID).Policy; p == nil || p.Kind != policy.Publishable || len(p.Origins) != 2 {
		t.Errorf("the gate has %+v", p)
	}
	if got := w.call("GET", "/v1/export", ""); !strings.Contains(got.Body, strings.TrimSuffix(fullPolicy, ",")) {
		t.Errorf("exported as %s", got.Body)
	}
	plain := w.call("POST", "/v1/keys", newKey).want(http.StatusCreated)
	if policyOf(plain) != "" || w.desk.Store.Get(plain.key().ID).Policy != nil {
		t.Errorf("a key without a policy has one: %s", plain.Body)
	}
}

// Each step changes the same key.
func TestPatchPolicy(t *testing.T) {
	w := newTestServer(t)
	key := w.makeKey()
	for _, step := range []struct{ body, want string }{
		{`{"limits":{"requests":"5/1s","streams":3,"history_turns":false}}`, `"limits":{"requests":"5/1s","streams":3,"history_turns":"off"},`},
		{`{"limits":{"streams":null,"visitor_streams":2}}`, `"limits":{"requests":"5/1s","visitor_streams":2,"history_turns":"off"},`},
		{`{"limits":{}}`, `"limits":{"requests":"5/1s","visitor_streams":2,"history_turns":"off"},`},
		{`{"limits":null}`, ``},
		{`{"kind":"publishable","origins":["*"]}`, `"kind":"publishable","origins":["*"],`},
		{`{"origins":["HTTPS://Docs.Example.COM:443"]}`, `"kind":"publishable","origins":["https://docs.example.com"],`},
		{`{"kind":null,"ips":["192.0.2.7"]}`, `"origins":["https://docs.example.com"],"ips":["192.0.2.7"],`},
		{`{"kind":"secret","origins":null,"endpoints":["mcp","openai"]}`, `"kind":"secret","ips":["192.0.2.7"],"endpoints":["mcp","openai"],`},
		{`{"endpoints":null,"ips":null}`, `"kind":"secret",`},
		{`{"limit_message":"Wait {wait}."}`, `"kind":"secret","limit_message":"Wait {wait}.",`},
		{`{"limits":{"streams":3}}`, `"kind":"secret","limits":{"streams":3},"limit_message":"Wait {wait}.",`},
		{`{"limits":null,"limit_message":null}`, `"kind":"secret",`},
	} {
		got := w.call("PATCH", "/v1/keys/"+key.ID, step.body).want(http.StatusOK)
		if policyOf(got) != step.want {
			t.Errorf("%s: %s, want %s", step.body, policyOf(got), step.want)
		}
		if got.key().Masked != key.Masked {
			t.Errorf("%s: the masked token is %s, was %s", step.body, got.key().Masked, key.Masked)
		}
	}
	if w.decision(key.Token) != keys.Allowed {
		t.Error("the token has changed with the kind")
	}
	if token := w.call("POST", "/v1/keys/"+key.ID+"/rotate", "").want(http.StatusOK).key().Token; !strings.HasPrefix(token, "dgs_") {
		t.Errorf("the rotated token begins with %.4s", token)
	}
}

// Each body is rejected with a JSON pointer, and without the value.
func TestPolicyFieldErrors(t *testing.T) {
	w := newTestServer(t)
	key := w.makeKey()
	secret := keys.NewToken(policy.AnyKind)
	for body, pointer := range map[string]string{
		`{"kind":"` + secret + `"}`:          "/kind",
		`{"kind":""}`:                        "/kind",
		`{"kind":7}`:                         "/kind",
		`{"kind":"publishable"}`:             "/origins",
		`{"kind":"secret","origins":["*"]}`:  "/origins",
		`{"origins":[]}`:                     "/origins",
		`{"origins":"*"}`:                    "/origins",
		`{"origins":["*",null]}`:             "/origins/1",
		`{"origins":["*","` + secret + `"]}`: "/origins/1",
		`{"origins":["*"` + strings.Repeat(`,"*"`, 100) + `]}`: "/origins",
		`{"ips":["192.0.2.0/24","` + secret + `"]}`:            "/ips/1",
		`{"endpoints":["` + secret + `"]}`:                     "/endpoints",
		`{"endpoints":["mcp","mcp"]}`:                          "/endpoints",
		`{"limit_message":""}`:                                 "/limit_message",
		`{"limit_message":7}`:                                  "/limit_message",
		`{"limit_message":"  "}`:                               "/limit_message",
		`{"limit_message":"` + secret + `"}`:                   "/limit_message",
		`{"limit_message":"{` + secret + `}"}`:                 "/limit_message",
		`{"limit_message":"two\nlines"}`:                       "/limit_message",
		`{"limit_message":"` + strings.Repeat("ü", 301) + `"}`: "/limit_message",
		`{"limits":[]}`:                                        "/limits",
		`{"limits":{"requests":5}}`:                            "/limits/requests",
		`{"limits":{"requests":true}}`:                         "/limits/requests",
		`{"limits":{"requests":""}}`:                           "/limits/requests",
		`{"limits":{"requests":"` + secret + `"}}`:             "/limits/requests",
		`{"limits":{"streams":{}}}`:                            "/limits/streams",
		`{"limits":{"streams":1.5}}`:                           "/limits/streams",
		`{"limits":{"streams":0}}`:                             "/limits/streams",
		`{"limits":{"streams":1e300}}`:                         "/limits/streams",
		`{"limits":{"stream":5}}`:                              "/limits/stream",
		`{"limits":{"streams":2,"visitor_streams":3}}`:         "/limits",
		`{"limits":{` + manyLimits + `}}`:                      "/limits",
	} {
		for method, path := range map[string]string{"PATCH": "/v1/keys/" + key.ID, "POST": "/v1/keys"} {
			text := body
			if method == "POST" {
				text = `{"name":"n","source":"s",` + body[1:]
			}
			r := w.call(method, path, text)
			p := r.problem(http.StatusUnprocessableEntity, "invalid")
			if len(p.Errors) != 1 || p.Errors[0].Pointer != pointer || strings.Contains(r.Body, secret) {
				t.Errorf("%s %.80s: %s, want an error at %s", method, body, r.Body, pointer)
			}
		}
		r := w.call("POST", "/v1/import", `{"keys":[{"name":"n","source":"s",`+body[1:]+`]}`)
		p := r.problem(http.StatusUnprocessableEntity, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/keys/0"+pointer || strings.Contains(r.Body, secret) {
			t.Errorf("import of %.80s: %s, want an error at /keys/0%s", body, r.Body, pointer)
		}
	}
}

var manyLimits = func() string {
	var names []string
	for c := 'a'; c <= 'z'; c++ {
		names = append(names, `"`+string(c)+`":1`)
	}
	return strings.Join(names, ",")
}()

func TestPatchBinding(t *testing.T) {
	w := newTestServer(t)
	key := w.makeKey()
	path := "/v1/keys/" + key.ID
	for _, step := range []struct{ body, binding, agent string }{
		{`{"sources":["a","b"]}`, "source", ""},
		{`{"agent":"{env.AGENT}","name":"n"}`, "agent", "{env.AGENT}"},
		{`{"agent_key":"0f0e0d0c-0b0a-0908-0706-050403020100"}`, "agent", "encrypted"},
		{`{"agent":"from-file"}`, "agent", "from-file"},
		{`{"source":"s"}`, "source", ""},
	} {
		r := w.call("PATCH", path, step.body).want(http.StatusOK)
		if got := r.key(); got.Binding != step.binding || got.Agent != step.agent || strings.Contains(r.Body, "0f0e0d0c") {
			t.Errorf("%s: %s", step.body, r.Body)
		}
		if w.decision(key.Token) != keys.Allowed {
			t.Errorf("%s: the token is rejected", step.body)
		}
	}
	if trail := w.call("GET", "/v1/audit?key="+key.ID, "").want(http.StatusOK).Body; !strings.Contains(trail, "source s, was agent from-file") ||
		strings.Contains(trail, "0f0e0d0c") {
		t.Errorf("audit trail %s", trail)
	}
}
