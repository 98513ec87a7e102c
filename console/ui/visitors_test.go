package ui

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

var secretTexts = regexp.MustCompile(`<code id="(?:token|sign-secret)"[^>]*>([0-9A-Za-z_.-]{43,})</code>`)

// shown returns the last secret on a page.
func (w *testServer) shown(a response) string {
	w.Helper()
	all := secretTexts.FindAllStringSubmatch(a.body, -1)
	if len(all) == 0 {
		w.Fatalf("the page shows no secret:\n%s", a.body)
	}
	return all[len(all)-1][1]
}

// decide returns the gate's decision on a signed token.
func (w *testServer) decide(token string) keys.Reason {
	w.Helper()
	v, err := keys.NewVerifier(w.desk.Store, keys.CacheConfig{})
	if err != nil {
		w.Fatal(err)
	}
	defer v.Close()
	return v.Verify(token, w.desk.Clock.At).Reason
}

func (w *testServer) sign(id, secret string) string {
	w.Helper()
	key, err := visitortoken.NewSecret(secret)
	if err != nil {
		w.Fatal(err)
	}
	token, err := visitortoken.Sign(visitortoken.Request{KeyID: id, Visitor: "u-42", Lifetime: time.Hour}, w.desk.Clock.At, key)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

func (w *testServer) createSecret(id, grace string) response {
	w.Helper()
	nonce := regexp.MustCompile(`sign-secrets"[^>]*>\s*<input type="hidden" name="nonce" value="([^"]*)"`).FindStringSubmatch(w.get("/keys/" + id).body)
	if nonce == nil {
		w.Fatal("the page has no form for a secret")
	}
	return w.post("/keys/"+id+"/sign-secrets", "nonce", nonce[1], "grace", grace)
}

func TestCreateKeyWithVisitors(t *testing.T) {
	w := newTestServer(t)
	a := w.post("/new", w.withNonce("visitors", "required")...)
	w.want(a, http.StatusCreated, "Copy the secret for signing, too", "Only signed tokens of visitors are valid", "SIGNED_TOKEN")
	k := w.desk.Store.Lookup(keys.DigestOf(tokens.FindString(a.body)))
	if got := w.decide(w.sign(k.ID, w.shown(a))); got != keys.Allowed {
		t.Errorf("a signed token: %s", got)
	}
	page := w.get("/keys/" + k.ID)
	w.want(page, 200, "Signed visitorsrequired", "only for signed visitors", "Replace the secret")
	if strings.Contains(page.body, w.shown(a)) {
		t.Error("the secret is shown again")
	}
}

// Secrets are created, replaced and ended on the page of the key.
func TestSignSecretForms(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	fields := []string{"name", "Docs site", "was_name", "Docs site", "was_kind", "", "was_visitors", "off", "visitors", "optional"}
	a := w.post("/keys/"+id, fields...)
	w.want(a, http.StatusUnprocessableEntity, `Create a secret in the section "Signed visitors" first.`)
	if !strings.Contains(a.body, `value="optional" checked`) {
		t.Error("the choice is lost")
	}
	made := w.createSecret(id, "0")
	w.want(made, http.StatusCreated, "A new secret for signing", "It is shown only once")
	first := w.shown(made)
	w.want(w.post("/keys/"+id, fields...), http.StatusSeeOther)
	if p := w.desk.Store.Get(id).Policy; p == nil || p.Visitors != policy.VisitorsOptional {
		t.Fatalf("policy %+v", p)
	}
	made = w.createSecret(id, "24h")
	w.want(made, http.StatusCreated, "Previous secretvalid until")
	second := w.shown(made)
	w.want(w.get("/keys/"+id), 200, "replaced, valid until", "End the grace period of replaced secrets now")
	for _, secret := range []string{first, second} {
		if got := w.decide(w.sign(id, secret)); got != keys.Allowed {
			t.Errorf("in the grace period: %s", got)
		}
	}
	w.want(w.post("/keys/"+id+"/sign-secrets/end-grace"), http.StatusSeeOther)
	if got := w.decide(w.sign(id, first)); got != keys.VisitorTokenInvalid {
		t.Errorf("after the grace period: %s", got)
	}
	w.want(w.post("/keys/"+id+"/visitor-tokens/invalidate"), http.StatusSeeOther)
	w.want(w.get("/keys/"+id+"?done=invalidated"), 200, "All signed tokens of before are rejected", "Generation1")
	if got := w.decide(w.sign(id, second)); got != keys.VisitorTokenExpired {
		t.Errorf("after the invalidation: %s", got)
	}

	w.want(w.post("/keys/"+id+"/sign-secrets", "nonce", "x", "grace", "0"), http.StatusConflict, "no secret was created")
	w.want(w.post("/keys/"+id+"/sign-secrets", "grace", "1y"), http.StatusUnprocessableEntity, "Choose a grace period")
	nonce := w.page.FormNonces.issue(signSecretPurpose(id))
	w.want(w.post("/keys/"+id+"/sign-secrets", "nonce", nonce, "grace", "0"), http.StatusCreated)
	before := w.desk.Store.Get(id)
	w.want(w.post("/keys/"+id+"/sign-secrets", "nonce", nonce, "grace", "0"), http.StatusConflict, "This secret was already created")
	if w.desk.Store.Get(id) != before {
		t.Error("a form that is submitted twice creates two secrets")
	}
	w.want(w.post("/keys/status-page/sign-secrets", "grace", "0"), http.StatusConflict, "read-only")
	if body := w.get("/keys/status-page").body; strings.Contains(body, "visitors-title") {
		t.Error("a key of a key file without signed visitors has the section")
	}
}

func TestVisitorTokenForm(t *testing.T) {
	w := newTestServer(t)
	a := w.post("/new", w.withNonce("visitors", "optional")...)
	id := w.desk.Store.Lookup(keys.DigestOf(tokens.FindString(a.body))).ID
	path := "/keys/" + id + "/visitor-tokens"
	made := w.post(path, "visitor", "u-42", "lifetime", "1h")
	w.want(made, http.StatusCreated, "A token for u-42", "Copy the token now")
	if got := w.decide(w.shown(made)); got != keys.Allowed {
		t.Errorf("the token: %s", got)
	}
	a = w.post(path, "visitor", "two words", "lifetime", "2d")
	w.want(a, http.StatusUnprocessableEntity, "Enter an ID of 1 to 128", "Choose a lifetime.")
	if !strings.Contains(a.body, `value="two words"`) {
		t.Error("the visitor is lost")
	}
	w.want(w.post("/keys/status-page/visitor-tokens", "visitor", "v", "lifetime", "1h"), http.StatusConflict, "does not accept signed tokens")
	if trail, err := w.desk.Registry.Audit(t.Context(), id, 0, 10); err != nil || len(trail) != 1 {
		t.Errorf("%d audit entries, %v", len(trail), err)
	}
}

// A secret that cannot be decrypted is reported.
func TestSignSecretProblem(t *testing.T) {
	w := newTestServer(t)
	a := w.post("/new", w.withNonce("visitors", "optional")...)
	id := w.desk.Store.Lookup(keys.DigestOf(tokens.FindString(a.body))).ID
	rec, err := w.desk.Registry.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	rec.Signing = &registry.Signing{Secrets: []registry.SignSecret{{ID: "0a1b2c3d", Encrypted: []byte{1}}}}
	if err := w.desk.Storage.Write(t.Context(), []*registry.Record{rec}, nil); err != nil {
		t.Fatal(err)
	}
	w.want(w.get("/keys/"+id), 200, "A secret cannot be used.", "is damaged")
}
