package api

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/visitortoken"
)

const testPublicKey = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="

// signedToken returns a token that a server signs.
func signedToken(t *testing.T, key Key, secret string, generation uint32) string {
	t.Helper()
	k, err := visitortoken.NewSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	token, err := visitortoken.Sign(visitortoken.Request{
		KeyID: key.ID, Visitor: "u-42", Lifetime: time.Minute, Generation: generation,
	}, time.Now(), k)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A secret is in the response that creates it, and nowhere else.
func TestSignSecrets(t *testing.T) {
	w := newTestServer(t)
	key := w.makeKey()
	path := "/v1/keys/" + key.ID
	p := w.call("PATCH", path, `{"visitors":"required"}`).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/visitors" {
		t.Errorf("without a secret: %+v", p)
	}
	first := w.call("POST", path+"/sign-secrets", "", "Idempotency-Key", "one").want(http.StatusCreated).key()
	if raw, err := base64.RawURLEncoding.DecodeString(first.SignSecret); err != nil || len(raw) != 32 || len(first.SignSecrets) != 1 {
		t.Fatalf("created %d bytes, %v, %+v", len(raw), err, first.SignSecrets)
	}
	again := w.call("POST", path+"/sign-secrets", "", "Idempotency-Key", "one").want(http.StatusCreated)
	if again.key().SignSecret != first.SignSecret || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a retry creates another secret: %s", again.Body)
	}
	w.call("PATCH", path, `{"visitors":"required"}`).want(http.StatusOK)
	if w.decision(signedToken(t, key, first.SignSecret, 0)) != keys.Allowed || w.decision(key.Token) != keys.VisitorRequired {
		t.Error("the signed token is not valid, or the key's own is")
	}
	second := w.call("POST", path+"/sign-secrets", `{"grace":"1h"}`).want(http.StatusCreated).key()
	if len(second.SignSecrets) != 2 || second.SignSecrets[0].Expires != nil || second.SignSecrets[1].Expires == nil {
		t.Errorf("after the rotation: %+v", second.SignSecrets)
	}
	if w.decision(signedToken(t, key, first.SignSecret, 0)) != keys.Allowed || w.decision(signedToken(t, key, second.SignSecret, 0)) != keys.Allowed {
		t.Error("a secret is not valid during the grace period")
	}
	ended := w.call("POST", path+"/sign-secrets/end-grace", "").want(http.StatusOK)
	if len(ended.key().SignSecrets) != 1 || w.decision(signedToken(t, key, first.SignSecret, 0)) != keys.VisitorTokenInvalid {
		t.Errorf("after the end of the grace period: %s", ended.Body)
	}
	invalidated := w.call("POST", path+"/visitor-tokens/invalidate", "").want(http.StatusOK).key()
	if invalidated.Generation != 1 || w.decision(signedToken(t, key, second.SignSecret, 0)) != keys.VisitorTokenExpired ||
		w.decision(signedToken(t, key, second.SignSecret, 1)) != keys.Allowed {
		t.Errorf("generation %d", invalidated.Generation)
	}
	for _, body := range []string{`{"generation":0}`, `{"generation":-1}`, `{"generation":2147483648}`, `{"generation":1.5}`, `{"generation":"2"}`} {
		if p := w.call("PATCH", path, body).problem(http.StatusUnprocessableEntity, "invalid"); p.Errors[0].Pointer != "/generation" {
			t.Errorf("%s: %+v", body, p)
		}
	}
	if got := w.call("PATCH", path, `{"generation":7.0}`).want(http.StatusOK).key(); got.Generation != 7 {
		t.Errorf("generation %d", got.Generation)
	}
	for _, r := range []response{
		w.call("GET", path, ""), w.call("GET", "/v1/keys", ""), w.call("GET", "/v1/audit", ""), w.call("GET", "/v1/export", ""),
	} {
		if r.want(http.StatusOK); strings.Contains(r.Body, first.SignSecret) || strings.Contains(r.Body, second.SignSecret) {
			t.Errorf("%s contains a secret: %s", r.what, r.Body)
		}
	}
	trail := w.call("GET", "/v1/audit?key="+key.ID, "").Body
	for _, want := range []string{"sign secret " + second.SignSecrets[0].ID + " created", "visitors required, was off", "generation 1, was 0"} {
		if !strings.Contains(trail, want) {
			t.Errorf("the audit trail lacks %q: %s", want, trail)
		}
	}
	w.call("POST", path+"/sign-secrets", `{"grace":"31d"}`).problem(http.StatusUnprocessableEntity, "invalid")
	w.call("POST", "/v1/keys/from-file/sign-secrets", "").problem(http.StatusConflict, "read_only_feed")
	w.call("POST", "/v1/keys/unknown/sign-secrets", "").problem(http.StatusNotFound, "key_not_found")
}

func TestCreateKeyWithVisitors(t *testing.T) {
	w := newTestServer(t)
	made := w.call("POST", "/v1/keys", `{"name":"a","source":"s","visitors":"optional"}`).want(http.StatusCreated).key()
	if w.decision(made.Token) != keys.Allowed || w.decision(signedToken(t, made, made.SignSecret, 0)) != keys.Allowed {
		t.Error("a token is not valid")
	}
	made = w.call("POST", "/v1/keys", `{"name":"a","source":"s","visitors":"required","sign_public_key":"`+testPublicKey+`"}`).want(http.StatusCreated).key()
	if made.SignSecret != "" || len(made.SignSecrets) != 0 || len(made.SignPublicKeys) != 1 || made.SignPublicKeys[0] != testPublicKey {
		t.Errorf("created %+v", made)
	}
	for body, pointer := range map[string]string{
		`"visitors":"some"`: "/visitors", `"sign_public_key":"x"`: "/sign_public_key/0", `"sign_public_key":[]`: "/sign_public_key",
	} {
		p := w.call("POST", "/v1/keys", `{"name":"a","source":"s",`+body+`}`).problem(http.StatusUnprocessableEntity, "invalid")
		if p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v", body, p)
		}
	}
	w.call("PATCH", "/v1/keys/"+made.ID, `{"sign_public_key":null}`).problem(http.StatusUnprocessableEntity, "invalid") // nothing else verifies
	w.call("PATCH", "/v1/keys/"+made.ID, `{"sign_public_key":null,"visitors":null}`).want(http.StatusOK)
}

func TestVisitorTokens(t *testing.T) {
	w := newTestServer(t)
	key := w.call("POST", "/v1/keys", `{"name":"a","source":"s","visitors":"required","kind":"publishable","origins":["https://*.example.com"]}`).
		want(http.StatusCreated).key()
	path := "/v1/keys/" + key.ID
	made := w.call("POST", path+"/visitor-tokens",
		`{"visitor":"u-42","expires":"1h","origin":"https://docs.example.com","limits":{"visitor_requests":"5/1m","question_chars":100}}`).
		want(http.StatusCreated)
	token := decoded[VisitorToken](made)
	if left := time.Until(token.Expires); left < 50*time.Minute || left > time.Hour || token.Visitor != "u-42" || token.Key != key.ID {
		t.Errorf("%+v", token)
	}
	if w.decision(token.Token) != keys.Allowed {
		t.Error("the token is not valid")
	}
	for body, pointer := range map[string]string{
		`{"visitor":""}`:                                     "/visitor",
		`{"visitor":"{{x}}"}`:                                "/visitor",
		`{"visitor":"v","expires":"25h"}`:                    "/expires",
		`{"visitor":"v","expires":"0"}`:                      "/expires",
		`{"visitor":"v","expires":"soon"}`:                   "/expires",
		`{"visitor":"v","origin":"*"}`:                       "/origin",
		`{"visitor":"v","origin":"https://*.example.com"}`:   "/origin",
		`{"visitor":"v","origin":"https://other.example"}`:   "/origin",
		`{"visitor":"v","origin":"x"}`:                       "/origin",
		`{"visitor":"v","limits":{"streams":1}}`:             "/limits/streams",
		`{"visitor":"v","limits":{"visitor_streams":"off"}}`: "/limits",
		`{"visitor":"v","limits":{"visitor_streams":null}}`:  "/limits/visitor_streams",
		`{"visitor":"v","limits":{"visitor_requests":"x"}}`:  "/limits/visitor_requests",
		`{"visitor":"v","generation":9}`:                     "/generation",
		`{"visitor":"v","kid":"other"}`:                      "/kid",
	} {
		if p := w.call("POST", path+"/visitor-tokens", body).problem(http.StatusUnprocessableEntity, "invalid"); p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v", body, p)
		}
	}
	w.call("POST", "/v1/keys/unknown/visitor-tokens", `{"visitor":"v"}`).problem(http.StatusNotFound, "key_not_found")
	w.call("POST", "/v1/keys/from-file/visitor-tokens", `{"visitor":"v"}`).problem(http.StatusConflict, "visitors_off")
	w.call("POST", path+"/disable", "").want(http.StatusOK)
	w.call("POST", path+"/visitor-tokens", `{"visitor":"v"}`).problem(http.StatusConflict, "key_not_active")
	public := w.call("POST", "/v1/keys", `{"name":"a","source":"s","visitors":"required","sign_public_key":"`+testPublicKey+`"}`).want(http.StatusCreated).key()
	w.call("POST", "/v1/keys/"+public.ID+"/visitor-tokens", `{"visitor":"v"}`).problem(http.StatusConflict, "no_sign_secret")
	if trail := w.call("GET", "/v1/audit", "").Body; strings.Contains(trail, token.Token) {
		t.Error("the audit trail contains a token")
	}
}

// The secrets of a key of DocsGPT are stored by its ID, too.
func TestVisitorsOfAdoptedKey(t *testing.T) {
	w := newTestServer(t)
	own := w.adopt()
	const path = "/v1/keys/agent_1"
	w.call("PATCH", path, `{"visitors":"required"}`).problem(http.StatusUnprocessableEntity, "invalid")
	made := w.call("POST", path+"/sign-secrets", "").want(http.StatusCreated).key()
	got := w.call("PATCH", path, `{"visitors":"required"}`).want(http.StatusOK)
	if !strings.Contains(got.Body, `"overrides":["visitors","sign_secrets"]`) {
		t.Errorf("changed: %s", got.Body)
	}
	token := decoded[VisitorToken](w.call("POST", path+"/visitor-tokens", `{"visitor":"v"}`).want(http.StatusCreated)).Token
	if w.decision(token) != keys.Allowed || w.decision(signedToken(t, made, made.SignSecret, 0)) != keys.Allowed || w.decision(own) != keys.VisitorRequired {
		t.Error("a signed token is not valid, or the key's own is")
	}
	w.call("POST", path+"/visitor-tokens/invalidate", "").want(http.StatusOK)
	if w.decision(token) != keys.VisitorTokenExpired {
		t.Errorf("after the invalidation: %s", w.decision(token))
	}
	w.call("PATCH", path, `{"visitors":null}`).want(http.StatusOK)
	w.call("POST", path+"/visitor-tokens", `{"visitor":"v"}`).problem(http.StatusConflict, "visitors_off")
}

// A key file cannot contain a stored secret, and a key must not lose its restriction on the way.
func TestImportAndExportVisitors(t *testing.T) {
	w := newTestServer(t)
	w.call("POST", "/v1/keys", `{"name":"secret","source":"s","visitors":"required"}`).want(http.StatusCreated)
	public := `"visitors":"required","sign_public_key":["` + testPublicKey + `"],"generation":3`
	w.call("POST", "/v1/import", `{"keys":[{"id":"public","source":"s",`+public+`},{"id":"bare","source":"s","visitors":"required"}]}`).want(http.StatusOK)
	if got := w.call("GET", "/v1/keys/public", "").key(); got.Generation != 3 || len(got.SignPublicKeys) != 1 || got.Visitors.String() != "required" {
		t.Errorf("imported %+v", got)
	}
	exported := w.call("GET", "/v1/export", "").want(http.StatusOK)
	skipped := decoded[struct {
		Skipped []string `json:"skipped"`
	}](exported).Skipped
	if !strings.Contains(exported.Body, public) || len(skipped) != 2 {
		t.Errorf("exported %s", exported.Body)
	}
}
