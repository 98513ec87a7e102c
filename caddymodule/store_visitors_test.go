package caddymodule_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/visitortoken"
)

// signedBy returns a token that a server signs at a time with a secret of the gate, or with a private key.
func signedBy(t *testing.T, key any, keyID string, generation uint32, at time.Time) string {
	t.Helper()
	if text, ok := key.(string); ok {
		secret, err := visitortoken.NewSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		key = secret
	}
	token, err := visitortoken.Sign(visitortoken.Request{
		KeyID: keyID, Visitor: "u-42", Lifetime: 10 * time.Minute, Generation: generation,
	}, at, key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// eachStoreTest runs a test with a running store, in each mode.
func eachStoreTest(t *testing.T, test func(t *testing.T, i *storeTest)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			i := newStoreTest(t)
			i.start(fmt.Sprintf(site, i.address, ""))
			test(t, i)
		})
	}
}

// change calls the API and fails the test unless it succeeds.
func (i *storeTest) change(method, path, body string) map[string]any {
	i.t.Helper()
	status, answer := i.call(method, path, body)
	if status/100 != 2 {
		i.t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

// wantEverywhere fails unless requests with a token get a status at all endpoints, and an error with the code.
func (i *storeTest) wantEverywhere(what, token string, status int, code string) {
	i.t.Helper()
	for path, r := range tokenRequests(i.gate, token) {
		if r.status != status {
			i.t.Errorf("%s, %s: %d, want %d: %s", what, path, r.status, status, r.body)
		}
		if code != "" {
			checkErrorFormat(i.t, path, r, code)
		}
	}
}

// Tokens of visitors of a key in the store: signed by a server and by the gate, with replaced secrets, other clocks and other algorithms.
func TestStoreVisitors(t *testing.T) {
	eachStoreTest(t, func(t *testing.T, i *storeTest) {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		made := i.change(http.MethodPost, "/v1/keys", `{"name":"A page","agent":"{env.AGENT_BETA}","visitors":"required"}`)
		id, own, first := made["id"].(string), made["token"].(string), made["sign_secret"].(string)
		path := "/v1/keys/" + id
		i.wantEverywhere("the key's own token", own, http.StatusUnauthorized, "visitor_required")
		if n := len(i.backend.Calls()); n > 0 {
			t.Errorf("%d requests with the key's token reached DocsGPT", n)
		}
		now := time.Now()
		i.wantEverywhere("signed by a server", signedBy(t, first, id, 0, now), http.StatusOK, "")
		signed := i.change(http.MethodPost, path+"/visitor-tokens", `{"visitor":"u-42","expires":"1h"}`)["token"].(string)
		i.wantEverywhere("signed by the gate", signed, http.StatusOK, "")

		// The clock of the server.
		i.wantEverywhere("a clock that is 50 s ahead", signedBy(t, first, id, 0, now.Add(50*time.Second)), http.StatusOK, "")
		i.wantEverywhere("a clock that is 5 min ahead", signedBy(t, first, id, 0, now.Add(5*time.Minute)), http.StatusUnauthorized, "")
		i.wantEverywhere("expired", signedBy(t, first, id, 0, now.Add(-time.Hour)), http.StatusUnauthorized, "visitor_token_expired")

		// A public key is not a secret, and a secret of one key is not one of another.
		i.change(http.MethodPatch, path, fmt.Sprintf(`{"sign_public_key":%q}`, visitortoken.FormatPublicKey(public)))
		i.wantEverywhere("signed with the private key", signedBy(t, private, id, 0, now), http.StatusOK, "")
		for what, key := range map[string]any{
			"with the public key as a secret": string(public), "with its text as a secret": visitortoken.FormatPublicKey(public),
			"with the raw text": base64.StdEncoding.EncodeToString(public), "with the key's own token": own,
		} {
			i.wantEverywhere(what, signedBy(t, key, id, 0, now), http.StatusUnauthorized, "invalid_api_key")
		}
		other := i.change(http.MethodPost, "/v1/keys", `{"name":"Another","agent":"{env.AGENT_BETA}","visitors":"optional"}`)
		i.wantEverywhere("with the secret of another key", signedBy(t, other["sign_secret"], id, 0, now), http.StatusUnauthorized, "invalid_api_key")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+id+`"}`)) + "." +
			strings.Split(signed, ".")[1] + "."
		i.wantEverywhere("not signed", none, http.StatusUnauthorized, "invalid_api_key")

		// Replaced secrets.
		second := i.change(http.MethodPost, path+"/sign-secrets", `{"grace":"1h"}`)["sign_secret"].(string)
		i.wantEverywhere("the previous secret in its grace period", signedBy(t, first, id, 0, now), http.StatusOK, "")
		i.wantEverywhere("the new secret", signedBy(t, second, id, 0, now), http.StatusOK, "")
		i.change(http.MethodPost, path+"/sign-secrets/end-grace", "")
		i.wantEverywhere("the previous secret after its end", signedBy(t, first, id, 0, now), http.StatusUnauthorized, "invalid_api_key")
		i.wantEverywhere("the gate's token with it", signed, http.StatusUnauthorized, "invalid_api_key")
		i.wantEverywhere("the new secret", signedBy(t, second, id, 0, now), http.StatusOK, "")

		i.change(http.MethodPatch, path, `{"visitors":"optional"}`)
		i.wantEverywhere("the key's own token, optional", own, http.StatusOK, "")
		i.change(http.MethodPost, path+"/revoke", "")
		i.wantEverywhere("revoked", signedBy(t, second, id, 0, now), http.StatusUnauthorized, "invalid_api_key")
		for what, secret := range map[string]string{"first secret": first, "second secret": second, "token": signed} {
			if strings.Contains(i.logs(), secret) {
				t.Errorf("the log contains the %s", what)
			}
		}
	})
}

// A new generation ends the streams of visitors, but not those with the key's own token.
func TestStoreVisitorsInvalidated(t *testing.T) {
	eachStoreTest(t, func(t *testing.T, i *storeTest) {
		made := i.change(http.MethodPost, "/v1/keys", `{"name":"A page","agent":"{env.AGENT_BETA}","visitors":"optional"}`)
		path := "/v1/keys/" + made["id"].(string)
		sign := func() string {
			return i.change(http.MethodPost, path+"/visitor-tokens", `{"visitor":"u-42"}`)["token"].(string)
		}
		question := func(token, text string) string {
			return fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, text, token)
		}
		token := sign()
		ended := i.startRequest("/stream", question(token, "[[gap=600]]"))
		own := i.startRequest("/stream", question(made["token"].(string), "[[gap=1]]"))
		waitFor(t, "both streams have begun", func() bool { return i.metric("caddy_docsgate_streams_in_flight ") == "2" })
		if got := i.change(http.MethodPost, path+"/visitor-tokens/invalidate", ""); got["generation"] != 1.0 {
			t.Errorf("generation %v", got["generation"])
		}
		if r := ended(); !strings.Contains(r.body, `"code":"key_revoked"`) {
			t.Errorf("the stream of the visitor: %d %s", r.status, r.body)
		}
		if r := own(); strings.Contains(r.body, "key_revoked") {
			t.Errorf("the stream of the key: %d %s", r.status, r.body)
		}
		i.wantEverywhere("a token of before", token, http.StatusUnauthorized, "visitor_token_expired")
		i.wantEverywhere("a token of after", sign(), http.StatusOK, "")
	})
}
