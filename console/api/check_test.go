package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

func TestCheckToken(t *testing.T) {
	w := newTestServer(t)
	adopted := w.adopt()
	made := w.makeKey()
	rotated := w.call("POST", "/v1/keys/"+made.ID+"/rotate", `{"grace":"1h"}`).want(http.StatusOK).key()
	disabled := w.makeKey()
	w.call("POST", "/v1/keys/"+disabled.ID+"/disable", "").want(http.StatusOK)
	for _, test := range []struct {
		name, token, id string
		reason          keys.Reason
		previous        bool
	}{
		{"current", rotated.Token, made.ID, keys.Allowed, false},
		{"previous", made.Token, made.ID, keys.Allowed, true},
		{"disabled", disabled.Token, disabled.ID, keys.DisabledKey, false},
		{"of a key file", "token-of-the-file", "from-file", keys.Allowed, false},
		{"of DocsGPT", adopted, "agent_1", keys.Allowed, false},
		{"unknown", "nobodys", "", keys.UnknownToken, false},
	} {
		r := w.call("POST", "/v1/check", `{"sha256":"`+keys.DigestOf(test.token).Hex()+`"}`)
		var got CheckResult
		if err := json.Unmarshal([]byte(r.want(http.StatusOK).Body), &got); err != nil {
			t.Fatal(err)
		}
		id := ""
		if got.Key != nil {
			id = got.Key.ID
		}
		if got.Valid != (test.reason == keys.Allowed) || got.Reason != test.reason || got.PreviousToken != test.previous || id != test.id {
			t.Errorf("%s: %s", test.name, r.Body)
		}
	}
	for _, body := range []string{
		`{"visitor_token":"` + made.Token + `"}`, `{"visitor_token":null}`, `{"sha256":"` + keys.DigestOf(made.Token).Hex() + `","visitor_token":"eyJ.a.b"}`,
	} {
		if r := w.call("POST", "/v1/check", body); strings.Contains(r.Body, made.Token) {
			t.Errorf("%s", r.Body)
		} else {
			r.problem(http.StatusUnprocessableEntity, "invalid")
		}
	}
	for _, body := range []string{`{}`, `{"sha256":"` + made.Token + `"}`, `{"sha256":7}`, `{"token":"x"}`} {
		if r := w.call("POST", "/v1/check", body); strings.Contains(r.Body, made.Token) {
			t.Errorf("%s", r.Body)
		} else {
			r.problem(http.StatusUnprocessableEntity, "invalid")
		}
	}
}

func TestCheckVisitorToken(t *testing.T) {
	w := newTestServer(t)
	made, other := w.makeKey(), w.makeKey()
	key := w.call("POST", "/v1/keys/"+made.ID+"/sign-secrets", "").want(http.StatusCreated).key()
	w.call("PATCH", "/v1/keys/"+made.ID, `{"visitors":"required"}`).want(http.StatusOK)
	valid, forged := signedToken(t, key, key.SignSecret, 0), signedToken(t, key, key.SignSecret+"x", 0)
	check := func(name, token string, reason keys.Reason, signed bool) {
		t.Helper()
		r := w.call("POST", "/v1/check", `{"visitor_token":"`+token+`"}`).want(http.StatusOK)
		var got CheckResult
		if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
			t.Fatal(err)
		}
		known := got.Key != nil && got.Key.ID == made.ID && got.Visitor == "u-42" && got.Expires != nil
		if got.Valid != (reason == keys.Allowed) || got.Reason != reason || known != signed || !signed && got.Key != nil {
			t.Errorf("%s: %s", name, r.Body)
		}
		if strings.Contains(r.Body, token) || strings.Contains(r.Body, key.SignSecret) {
			t.Errorf("%s: the response contains a secret: %s", name, r.Body)
		}
	}
	check("valid", valid, keys.Allowed, true)
	check("signed with another secret", forged, keys.VisitorTokenInvalid, false)
	check("of a key that accepts none", signedToken(t, other, key.SignSecret, 0), keys.VisitorTokenInvalid, false)
	check("of an unknown key", signedToken(t, Key{ID: "key_of_nobody"}, key.SignSecret, 0), keys.UnknownToken, false)
	w.call("POST", "/v1/keys/"+made.ID+"/visitor-tokens/invalidate", "").want(http.StatusOK)
	check("invalidated", valid, keys.VisitorTokenExpired, true)
	w.call("POST", "/v1/keys/"+made.ID+"/disable", "").want(http.StatusOK)
	check("disabled", valid, keys.DisabledKey, true)

	r := w.call("POST", "/v1/check", `{"sha256":"`+keys.DigestOf(made.Token).Hex()+`"}`)
	if !strings.Contains(r.want(http.StatusOK).Body, string(keys.DisabledKey)) {
		t.Errorf("the key's own token: %s", r.Body)
	}
}
