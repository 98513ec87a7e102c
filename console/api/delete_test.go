package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

func TestDeleteKey(t *testing.T) {
	w := newTestServer(t)
	made := w.makeKey()
	path := "/v1/keys/" + made.ID
	w.call("DELETE", path, "").problem(http.StatusConflict, "not_revoked")
	if got := w.decision(made.Token); got != keys.Allowed {
		t.Errorf("the key that is not deleted is %s", got)
	}
	w.call("POST", path+"/revoke", "").want(http.StatusOK)
	w.call("DELETE", path+"?x=1", "").problem(http.StatusBadRequest, "invalid_parameter")
	w.call("DELETE", path, `{"x":1}`).problem(http.StatusUnprocessableEntity, "invalid")
	if got := w.call("DELETE", path, "").want(http.StatusNoContent); got.Body != "" {
		t.Errorf("the body is %q", got.Body)
	}

	if got := w.decision(made.Token); got != keys.UnknownToken {
		t.Errorf("the token of a deleted key is %s", got)
	}
	for _, call := range []string{
		"GET ", "DELETE ", "PATCH ", "POST /revoke", "POST /enable", "POST /disable", "POST /rotate", "POST /end-grace", "POST /sign-secrets",
	} {
		method, below, _ := strings.Cut(call, " ")
		body := ""
		if method == "PATCH" {
			body = `{"name":"other"}`
		}
		w.call(method, path+below, body).problem(http.StatusNotFound, "key_not_found")
	}
	for _, list := range []string{"/v1/keys", "/v1/export", "/api/get_api_keys"} {
		if got := w.call("GET", list, "").want(http.StatusOK); strings.Contains(got.Body, made.ID) {
			t.Errorf("%s has the deleted key: %s", list, got.Body)
		}
	}
	trail := w.call("GET", "/v1/audit?key="+made.ID, "").want(http.StatusOK).Body
	if !strings.Contains(trail, `"deleted"`) || !strings.Contains(trail, `"revoked"`) || !strings.Contains(trail, `"created"`) {
		t.Errorf("the audit trail is %s", trail)
	}
	if got := w.call("GET", "/v1/audit?action=deleted", "").want(http.StatusOK).Body; strings.Count(got, made.ID) != 1 {
		t.Errorf("the deletions are %s", got)
	}
	w.call("DELETE", "/v1/keys/from-file", "").problem(http.StatusConflict, "read_only_feed")
	w.call("DELETE", "/v1/keys/key_none", "").problem(http.StatusNotFound, "key_not_found")
}

// What a deleted key has had is never used again.
func TestImportOfDeletedKey(t *testing.T) {
	w := newTestServer(t)
	made := w.makeKey()
	w.call("POST", "/v1/keys/"+made.ID+"/revoke", "").want(http.StatusOK)
	w.call("DELETE", "/v1/keys/"+made.ID, "").want(http.StatusNoContent)
	for _, item := range []string{`"id":"` + made.ID + `"`, `"sha256":"` + keys.DigestOf(made.Token).Hex() + `"`} {
		got := w.call("POST", "/v1/import", `{"keys":[{"name":"n","source":"a",`+item+`}]}`).problem(http.StatusUnprocessableEntity, "invalid")
		if !strings.Contains(got.Detail, "deleted key") {
			t.Errorf("%s: %s", item, got.Detail)
		}
	}
	if got := w.decision(made.Token); got != keys.UnknownToken {
		t.Errorf("the token is %s", got)
	}
}
