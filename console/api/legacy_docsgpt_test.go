package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// legacyMade is the response to a request that creates a key.
type legacyMade struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// The requests are those of the web apps and the documentation of the versions.
func TestLegacyRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		body, source, chunks, prompt, retriever string
	}{
		"frontend/src/settings/APIKeys.tsx of 0.9 and 0.10": {
			`{"name":"Site","source":"local/handbook/","prompt_id":"default","chunks":"2"}`, "local/handbook/", "2", "default", "",
		},
		"frontend/src/modals/CreateAPIKeyModal.tsx of 0.11 to 0.13, an own source": {
			`{"name":"Site","prompt_id":"65f1c0ffee5eed0123456780","chunks":"4","source":"65f1c0ffee5eed0123456789"}`,
			"65f1c0ffee5eed0123456789", "4", "65f1c0ffee5eed0123456780", "",
		},
		"frontend/src/modals/CreateAPIKeyModal.tsx of 0.11 to 0.13, the source it came with": {
			`{"name":"Site","prompt_id":"default","chunks":"2","retriever":"default"}`, "default", "2", "default", "default",
		},
		"docs/pages/API/API-docs.md of 0.13": {
			`{"name":"Example Key Name","source":"Example Source","prompt_id":"creative","chunks":"2"}`,
			"Example Source", "2", "creative", "",
		},
		"a number of chunks, as the Swagger page of 0.13 says": {
			`{"name":"Site","source":"default","prompt_id":"strict","chunks":2,"user":"local"}`, "default", "2", "strict", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestServer(t)
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/create_api_key", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			rec := w.do(r)
			made := decoded[legacyMade](response{t: t, Body: rec.Body.String()})
			if rec.Code != http.StatusCreated || w.decision(made.Key) != keys.Allowed {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			listed := decoded[[]map[string]string](w.call("GET", "/api/get_api_keys", "", "Content-Type", "application/json").want(200))
			if len(listed) != 1 {
				t.Fatalf("%v", listed)
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(tc.body, `{"name":"`), `"`)
			want := map[string]string{
				"id": made.ID, "name": name, "key": made.Key[:4] + "..." + made.Key[len(made.Key)-4:], "source": tc.source,
				"prompt_id": tc.prompt, "chunks": tc.chunks, "retriever": tc.retriever,
			}
			for member, value := range want {
				if listed[0][member] != value {
					t.Errorf("%s is %q, want %q", member, listed[0][member], value)
				}
			}
			// 0.8.1 to 0.10 check status, later versions check success.
			gone := decoded[map[string]any](w.call("POST", "/api/delete_api_key", `{"id":"`+made.ID+`"}`).want(200))
			if gone["success"] != true || gone["status"] != "ok" {
				t.Errorf("%v", gone)
			}
			if got := w.decision(made.Key); got != keys.RevokedKey {
				t.Errorf("the deleted key is %s in the next request", got)
			}
			if got := w.call("GET", "/api/get_api_keys", "").want(200).Body; got != "[]\n" {
				t.Errorf("listed after it was deleted: %s", got)
			}
		})
	}
}

// Errors have the format of DocsGPT 0.11 to 0.13: check_required_fields, and {"success":false,"error":…}.
func TestLegacyErrors(t *testing.T) {
	w := newTestServer(t)
	made := w.makeKey()
	w.call("POST", "/v1/keys/"+made.ID+"/revoke", "").want(200)
	for name, tc := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"nothing":         {"create_api_key", `{}`, 400, `{"success":false,"message":"Missing fields: name, prompt_id, chunks"}`},
		"no prompt":       {"create_api_key", `{"name":"a","chunks":"2"}`, 400, `{"success":false,"message":"Missing fields: prompt_id"}`},
		"a bad source":    {"create_api_key", `{"name":"a","chunks":"2","prompt_id":"p","source":"bad"}`, 400, `{"success":false,"error":"source: this is no source id"}`},
		"a list as name":  {"create_api_key", `{"name":[],"chunks":"2","prompt_id":"p"}`, 400, `{"success":false,"error":"name: must be text"}`},
		"null as prompt":  {"create_api_key", `{"name":"a","chunks":"2","prompt_id":null}`, 400, ``},
		"no JSON":         {"create_api_key", `name=a`, 400, ``},
		"no id":           {"delete_api_key", `{}`, 400, `{"success":false,"message":"Missing fields: id"}`},
		"an unknown id":   {"delete_api_key", `{"id":"65f1c0ffee5eed0123456789"}`, 404, `{"success":false,"message":"API Key not found"}`},
		"a key of a file": {"delete_api_key", `{"id":"from-file"}`, 404, `{"success":false,"message":"API Key not found"}`},
		"a deleted key":   {"delete_api_key", `{"id":"` + made.ID + `"}`, 404, `{"success":false,"message":"API Key not found"}`},
		// DocsGPT passed such a value to its database.
		"an operator as id": {"delete_api_key", `{"id":{"$ne":null}}`, 400, `{"success":false,"error":"id: must be text"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.call("POST", "/api/"+tc.path, tc.body).want(tc.status)
			if tc.want != "" && got.Body != tc.want+"\n" || !strings.HasPrefix(got.Body, `{"success":false,`) {
				t.Errorf("%s", got.Body)
			}
		})
	}
	w.call("POST", "/api/create_api_key", "").want(http.StatusUnsupportedMediaType)
}

// All keys of all pages of the index are listed, and none of another feed.
func TestLegacyListHasAllKeys(t *testing.T) {
	w := newTestServer(t)
	body := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"name":"n","source":"a"},`, maxImportKeys), ",") + `]}`
	w.call("POST", "/v1/import", body).want(200)
	w.makeKey()
	if got := decoded[[]map[string]string](w.call("GET", "/api/get_api_keys", "").want(200)); len(got) != maxImportKeys+1 {
		t.Errorf("%d keys", len(got))
	}
}
