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
	for _, body := range []string{`{}`, `{"sha256":"` + made.Token + `"}`, `{"sha256":7}`, `{"token":"x"}`} {
		if r := w.call("POST", "/v1/check", body); strings.Contains(r.Body, made.Token) {
			t.Errorf("%s", r.Body)
		} else {
			r.problem(http.StatusUnprocessableEntity, "invalid")
		}
	}
}
