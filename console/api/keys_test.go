package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

func TestKeyLifecycle(t *testing.T) {
	w := newTestServer(t)
	response := w.call("POST", "/v1/keys", newKey).want(http.StatusCreated)
	made := response.key()
	if !keys.HasValidChecksum(made.Token) || made.Masked != "dgk_..."+keys.Hint(made.Token) || made.State != "active" || !made.Issued ||
		made.Binding != "source" || len(made.Requests) != 24 || made.Created == nil {
		t.Errorf("the new key is %s", response.Body)
	}
	if got := response.Header.Get("Location"); got != "keys/"+made.ID {
		t.Errorf("Location is %q", got)
	}
	if got := w.decision(made.Token); got != keys.Allowed {
		t.Fatalf("the new token is %s after the response", got)
	}
	path := "/v1/keys/" + made.ID
	shown := w.call("GET", path, "").want(http.StatusOK)
	if strings.Contains(shown.Body, made.Token) || shown.key().Token != "" {
		t.Errorf("the token is shown again: %s", shown.Body)
	}

	changed := w.call("PATCH", path, `{"name":"Other","expires":"2099-01-01T00:00:00+02:00"}`).want(http.StatusOK).key()
	if changed.Name != "Other" || changed.Expires == nil || changed.Expires.Format(time.RFC3339) != "2098-12-31T22:00:00Z" {
		t.Errorf("changed to %+v", changed)
	}
	if got := w.call("PATCH", path, `{"expires":null}`).want(http.StatusOK).key(); got.Expires != nil || got.Name != "Other" {
		t.Errorf("null did not remove the time limit: %+v", got)
	}

	for _, step := range []struct {
		call, body string
		state      string
		standing   keys.Reason
	}{
		{"POST /disable", "", "disabled", keys.DisabledKey},
		{"POST /enable", "{}", "active", keys.Allowed},
		{"PATCH ", `{"state":"disabled"}`, "disabled", keys.DisabledKey},
		{"PATCH ", `{"state":"active"}`, "active", keys.Allowed},
	} {
		method, below, _ := strings.Cut(step.call, " ")
		if got := w.call(method, path+below, step.body).want(http.StatusOK).key(); got.State != step.state {
			t.Errorf("%s: state %s", step.call, got.State)
		}
		if got := w.decision(made.Token); got != step.standing {
			t.Errorf("%s: the token is %s in the next request", step.call, got)
		}
	}

	rotated := w.call("POST", path+"/rotate", `{"grace":"7d"}`).want(http.StatusOK).key()
	if rotated.ID != made.ID || rotated.Token == made.Token || rotated.PreviousTokenExpires == nil {
		t.Errorf("rotated to %+v", rotated)
	}
	if d := time.Until(*rotated.PreviousTokenExpires); d > 7*24*time.Hour || d < 7*24*time.Hour-time.Hour {
		t.Errorf("the previous token is valid for %s", d)
	}
	if a, b := w.decision(made.Token), w.decision(rotated.Token); a != keys.Allowed || b != keys.Allowed {
		t.Errorf("after rotating: old %s, new %s", a, b)
	}
	ended := w.call("POST", path+"/end-grace", "").want(http.StatusOK).key()
	if a, b := w.decision(made.Token), w.decision(rotated.Token); ended.PreviousTokenExpires != nil || a != keys.UnknownToken || b != keys.Allowed {
		t.Errorf("after the end of the grace period: old %s, new %s, %+v", a, b, ended)
	}
	w.call("POST", path+"/end-grace", "{}").want(http.StatusOK)

	last := w.call("POST", path+"/rotate", "").want(http.StatusOK).key()
	if a, b := w.decision(rotated.Token), w.decision(last.Token); a == keys.Allowed || b != keys.Allowed {
		t.Errorf("after rotating without a body: old %s, new %s", a, b)
	}

	if got := w.call("POST", path+"/revoke", "").want(http.StatusOK).key(); got.State != "revoked" {
		t.Errorf("state %s", got.State)
	}
	if got := w.decision(last.Token); got != keys.RevokedKey {
		t.Errorf("the revoked token is %s in the next request", got)
	}
	w.call("POST", path+"/revoke", "").want(http.StatusOK)
	for _, call := range []string{"/enable", "/disable", "/rotate", "/end-grace"} {
		w.call("POST", path+call, "").problem(http.StatusConflict, "revoked")
	}
	w.call("PATCH", path, `{"name":"x"}`).problem(http.StatusConflict, "revoked")
}

func TestBindings(t *testing.T) {
	w := newTestServer(t)
	for name, tc := range map[string]struct{ body, binding, agent string }{
		"one source":             {`{"name":"n","source":"a"}`, "source", ""},
		"a list of sources":      {`{"name":"n","sources":["a","b"]}`, "source", ""},
		"a variable":             {`{"name":"n","agent":"{env.AGENT}"}`, "agent", "{env.AGENT}"},
		"the key of a feed":      {`{"name":"n","agent":"from-file"}`, "agent", "from-file"},
		"the DocsGPT key itself": {`{"name":"n","agent_key":"0f0e0d0c-0b0a-0908-0706-050403020100"}`, "agent", "encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			response := w.call("POST", "/v1/keys", tc.body).want(http.StatusCreated)
			got := response.key()
			if got.Binding != tc.binding || got.Agent != tc.agent || w.decision(got.Token) != keys.Allowed {
				t.Errorf("%s", response.Body)
			}
			if strings.Contains(response.Body, "0f0e0d0c") {
				t.Error("the DocsGPT key is in the response")
			}
		})
	}
}

// Each body is rejected with a stable code and a JSON pointer.
func TestFieldErrors(t *testing.T) {
	w := newTestServer(t)
	made := w.makeKey()
	long := strings.Repeat("x", 201)
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		code, pointer      string
	}{
		"no JSON":           {"POST", "/v1/keys", `{"name":`, 400, "invalid_json", ""},
		"two documents":     {"POST", "/v1/keys", newKey + newKey, 400, "invalid_json", ""},
		"only blanks":       {"POST", "/v1/keys", " \n", 400, "invalid_json", ""},
		"a name twice":      {"POST", "/v1/keys", `{"name":"a","name":"b","source":"s"}`, 400, "invalid_json", "/name"},
		"no UTF-8":          {"POST", "/v1/keys", "{\"name\":\"\xff\",\"source\":\"s\"}", 400, "invalid_json", ""},
		"half a surrogate":  {"POST", "/v1/keys", `{"name":"\ud800","source":"s"}`, 400, "invalid_json", ""},
		"a list":            {"POST", "/v1/keys", `[]`, 422, "invalid", ""},
		"null":              {"POST", "/v1/keys", `null`, 422, "invalid", ""},
		"an unknown member": {"POST", "/v1/keys", `{"name":"a","source":"s","expiry":"x"}`, 422, "invalid", "/expiry"},
		"another case":      {"POST", "/v1/keys", `{"Name":"a","source":"s"}`, 422, "invalid", "/Name"},
		"a number for a name": {
			"POST", "/v1/keys", `{"name":7,"source":"s"}`, 422, "invalid", "/name",
		},
		"null for a name":    {"POST", "/v1/keys", `{"name":null,"source":"s"}`, 422, "invalid", "/name"},
		"null for sources":   {"POST", "/v1/keys", `{"name":"a","source":"s","sources":null}`, 422, "invalid", "/sources"},
		"null among sources": {"POST", "/v1/keys", `{"name":"a","sources":["s",null]}`, 422, "invalid", "/sources/1"},
		"no name":            {"POST", "/v1/keys", `{"source":"s"}`, 422, "invalid", "/name"},
		"a blank name":       {"POST", "/v1/keys", `{"name":" ","source":"s"}`, 422, "invalid", "/name"},
		"a long name":        {"POST", "/v1/keys", `{"name":"` + long + `","source":"s"}`, 422, "invalid", "/name"},
		"no binding":         {"POST", "/v1/keys", `{"name":"a"}`, 422, "invalid", "/sources"},
		"two bindings":       {"POST", "/v1/keys", `{"name":"a","source":"s","agent":"{env.A}"}`, 422, "invalid", "/agent"},
		"source and sources": {"POST", "/v1/keys", `{"name":"a","source":"s","sources":["t"]}`, 422, "invalid", "/source"},
		"no sources":         {"POST", "/v1/keys", `{"name":"a","sources":[]}`, 422, "invalid", "/sources"},
		"a bad source":       {"POST", "/v1/keys", `{"name":"a","source":"bad"}`, 422, "invalid", "/source"},
		"bad sources":        {"POST", "/v1/keys", `{"name":"a","sources":["bad"]}`, 422, "invalid", "/sources"},
		"one source in a list": {
			"POST", "/v1/keys", `{"name":"a","source":["a","bad"]}`, 422, "invalid", "/source",
		},
		"a token as a source": {"POST", "/v1/keys", `{"name":"a","sources":["` + keys.NewToken(policy.AnyKind) + `"]}`, 422, "invalid", "/sources"},
		"an empty agent":      {"POST", "/v1/keys", `{"name":"a","agent":""}`, 422, "invalid", "/agent"},
		"a day for a time":    {"POST", "/v1/keys", `{"name":"a","source":"s","expires":"2099-01-01"}`, 422, "invalid", "/expires"},
		"a time long ago":     {"POST", "/v1/keys", `{"name":"a","source":"s","not_before":"0001-01-01T00:00:00Z"}`, 422, "invalid", "/not_before"},
		"a number for a time": {
			"POST", "/v1/keys", `{"name":"a","source":"s","expires":4070908800}`, 422, "invalid", "/expires",
		},
		"expired already": {"POST", "/v1/keys", `{"name":"a","source":"s","expires":"2001-01-01T00:00:00Z"}`, 422, "invalid", "/expires"},

		"a state of its own":  {"PATCH", "/v1/keys/ID", `{"state":"revoked"}`, 422, "invalid", "/state"},
		"null for a state":    {"PATCH", "/v1/keys/ID", `{"state":null}`, 422, "invalid", "/state"},
		"an empty name":       {"PATCH", "/v1/keys/ID", `{"name":""}`, 422, "invalid", "/name"},
		"the digest of a key": {"PATCH", "/v1/keys/ID", `{"sha256":"a"}`, 422, "invalid", "/sha256"},
		"two new bindings":    {"PATCH", "/v1/keys/ID", `{"sources":["a"],"agent":"from-file"}`, 422, "invalid", "/agent"},
		"invalid new sources": {"PATCH", "/v1/keys/ID", `{"source":"bad"}`, 422, "invalid", "/source"},
		"an empty binding":    {"PATCH", "/v1/keys/ID", `{"agent":""}`, 422, "invalid", "/agent"},
		"an unlisted agent":   {"PATCH", "/v1/keys/ID", `{"agent":"{env.HOME}"}`, 422, "agent_not_listed", "/agent"},
		"no change at all":    {"PATCH", "/v1/keys/ID", "", 415, "not_json", ""},

		"a long grace":     {"POST", "/v1/keys/ID/rotate", `{"grace":"31d"}`, 422, "invalid", "/grace"},
		"a negative grace": {"POST", "/v1/keys/ID/rotate", `{"grace":"-1h"}`, 422, "invalid", "/grace"},
		"no unit":          {"POST", "/v1/keys/ID/rotate", `{"grace":"24"}`, 422, "invalid", "/grace"},
		"an empty grace":   {"POST", "/v1/keys/ID/rotate", `{"grace":""}`, 422, "invalid", "/grace"},
		"arguments where there are none": {
			"POST", "/v1/keys/ID/disable", `{"until":"tomorrow"}`, 422, "invalid", "/until",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := strings.ReplaceAll(tc.path, "ID", made.ID)
			p := w.call(tc.method, path, tc.body).problem(tc.status, tc.code)
			if tc.pointer != "" && !slices.ContainsFunc(p.Errors, func(f fieldError) bool { return f.Pointer == tc.pointer }) {
				t.Errorf("the errors are %+v, none for %s", p.Errors, tc.pointer)
			}
		})
	}
	if got := w.call("GET", "/v1/keys/"+made.ID, "").key(); got.Name != made.Name || got.State != "active" {
		t.Errorf("a rejected call has changed the key: %+v", got)
	}
	if got := decoded[listing](w.call("GET", "/v1/keys?feed="+w.desk.Feed, "")); got.Total != 1 {
		t.Errorf("a rejected call has made a key: there are %d", got.Total)
	}
}

// Errors do not repeat values that could be secrets.
func TestErrorsContainNoSecrets(t *testing.T) {
	w := newTestServer(t)
	secret := keys.NewToken(policy.AnyKind)
	for _, body := range []string{
		`{"name":"a","agent":"` + secret + `"}`, `{"name":"a","agent_key":"` + secret + `"}`,
		`{"name":"a","source":"s","expires":"` + secret + `"}`, `{"name":"a","sources":"` + secret + `"}`,
		`{"name":"a","source":"` + secret + `"}`, `{"name":"a","sources":["s","` + secret + `"]}`,
	} {
		if got := w.call("POST", "/v1/keys", body); got.Status != 422 || strings.Contains(got.Body, secret) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
}

func TestBodyTypeAndSize(t *testing.T) {
	w := newTestServer(t)
	send := func(body string, headers ...string) response {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/keys", strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		rec := w.do(r)
		return response{t: t, what: fmt.Sprint(headers), Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "json"} {
		send(newKey, "Content-Type", kind).problem(http.StatusUnsupportedMediaType, "not_json")
	}
	send(newKey).problem(http.StatusUnsupportedMediaType, "not_json")
	send(newKey, "Content-Type", "application/json", "Content-Encoding", "gzip").problem(http.StatusUnsupportedMediaType, "not_json")
	send(newKey, "Content-Type", "application/json", "Content-Type", "text/plain").
		problem(http.StatusUnsupportedMediaType, "not_json")
	send(newKey, "Content-Type", "application/json; charset=utf-8").want(http.StatusCreated)
	send(newKey+strings.Repeat(" ", maxBody), "Content-Type", "application/json").
		problem(http.StatusRequestEntityTooLarge, "too_large")
}

// listing is a page of keys.
type listing struct {
	Keys  []Key  `json:"keys"`
	Next  string `json:"next_cursor"`
	Total int    `json:"total"`
}

func TestListKeys(t *testing.T) {
	w := newTestServer(t)
	var made []Key
	for i := range 5 {
		made = append(made, w.call("POST", "/v1/keys", fmt.Sprintf(`{"name":"key %d","source":"s%d"}`, i, i%2)).key())
	}
	w.call("POST", "/v1/keys/"+made[0].ID+"/disable", "").want(http.StatusOK)
	var seen []string
	cursor := ""
	for {
		got := decoded[listing](w.call("GET", "/v1/keys?limit=2&cursor="+cursor, "").want(http.StatusOK))
		if got.Total != 6 || len(got.Keys) > 2 {
			t.Fatalf("total %d, %d keys on the page", got.Total, len(got.Keys))
		}
		for _, k := range got.Keys {
			seen = append(seen, k.ID)
		}
		if cursor = got.Next; cursor == "" {
			break
		}
	}
	slices.Sort(seen)
	if seen = slices.Compact(seen); len(seen) != 6 {
		t.Errorf("all pages together have %d keys", len(seen))
	}
	for query, want := range map[string]int{
		"": 6, "?q=KEY+3": 1, "?state=disabled": 1, "?state=active": 5, "?state=revoked": 0, "?source=s1": 2,
		"?feed=file:keys.yaml": 1, "?feed=" + w.desk.Feed: 5, "?source=s0&state=active": 2,
	} {
		if got := decoded[listing](w.call("GET", "/v1/keys"+query, "").want(http.StatusOK)); got.Total != want || len(got.Keys) != want {
			t.Errorf("%q: total %d, %d keys, want %d", query, got.Total, len(got.Keys), want)
		}
	}
	for query, field := range map[string]string{
		"?limit=0": "limit", "?limit=1001": "limit", "?limit=many": "limit", "?limit=-1": "limit", "?limit=": "limit",
		"?state=on": "state", "?state=": "state", "?sate=active": "sate", "?state=active&state=expired": "state", "?cursor=x": "cursor",
		"?q=" + strings.Repeat("x", 201): "q", "?q=%ff": "q",
	} {
		if p := w.call("GET", "/v1/keys"+query, "").problem(http.StatusBadRequest, "invalid_parameter"); p.Errors[0].Field != field {
			t.Errorf("%.30s: the fault is of %s", query, p.Errors[0].Field)
		}
	}
	w.call("GET", "/v1/keys?q=%zz", "").problem(http.StatusBadRequest, "invalid_parameter")
}

func TestReadOnlyFeeds(t *testing.T) {
	w := newTestServer(t)
	if got := w.call("GET", "/v1/keys/from-file", "").want(http.StatusOK).key(); got.Issued || got.Feed != "file:keys.yaml" || got.Masked != "" {
		t.Errorf("%+v", got)
	}
	for _, call := range []string{"PATCH /", "POST /rotate", "POST /end-grace", "POST /disable", "POST /enable", "POST /revoke"} {
		method, below, _ := strings.Cut(call, " ")
		body := ""
		if method == "PATCH" {
			below, body = "", `{"name":"x"}`
		}
		p := w.call(method, "/v1/keys/from-file"+below, body).problem(http.StatusConflict, "read_only_feed")
		if !strings.Contains(p.Detail, "file:keys.yaml") {
			t.Errorf("%s: %s", call, p.Detail)
		}
		w.call(method, "/v1/keys/nowhere"+below, body).problem(http.StatusNotFound, "key_not_found")
	}
	w.call("GET", "/v1/keys/nowhere", "").problem(http.StatusNotFound, "key_not_found")
}

func TestUnknownRoutes(t *testing.T) {
	w := newTestServer(t)
	for _, path := range []string{"/", "/v1", "/v1/", "/v2/keys", "/v1/keys/", "//v1/keys", "/v1/../v1/keys", "/v1/keys/a/b", "/api/keys"} {
		w.call("GET", path, "").problem(http.StatusNotFound, "not_found")
	}
	for call, allow := range map[string]string{
		"DELETE /v1/keys": "GET, HEAD, POST", "PUT /v1/keys/x": "DELETE, GET, HEAD, PATCH", "GET /v1/keys/x/revoke": "POST",
		"OPTIONS /v1/import": "POST", "POST /v1/backup": "GET, HEAD",
	} {
		method, path, _ := strings.Cut(call, " ")
		got := w.call(method, path, "")
		got.problem(http.StatusMethodNotAllowed, "method_not_allowed")
		if got.Header.Get("Allow") != allow {
			t.Errorf("%s: Allow is %q", call, got.Header.Get("Allow"))
		}
	}
}

// A storage error is logged, and not sent to the client.
func TestInternalErrors(t *testing.T) {
	w := newTestServer(t)
	made := w.makeKey()
	w.storage.Fail(errors.New("the disk is full"))
	for _, call := range []response{
		w.call("POST", "/v1/keys", newKey), w.call("POST", "/v1/keys/"+made.ID+"/revoke", ""),
		w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one"), w.call("GET", "/v1/backup", ""), w.call("GET", "/v1/export", ""),
	} {
		call.problem(http.StatusInternalServerError, "internal")
		if strings.Contains(call.Body, "disk") {
			t.Errorf("%s: %s", call.what, call.Body)
		}
	}
	if len(w.logged) != 5 || !strings.Contains(w.logged[0], "the disk is full") {
		t.Errorf("logged: %q", w.logged)
	}
}

// A new token is not lost if the change was stored, but not applied. A change that is not applied yet is not reported as done.
func TestApplyPending(t *testing.T) {
	w := newTestServer(t)
	made := w.makeKey()
	w.desk.Registry.OnChange(func(ctx context.Context) error { return errors.New("the store is in the way") })
	got := w.call("POST", "/v1/keys", newKey).want(http.StatusCreated).key()
	if !keys.HasValidChecksum(got.Token) || got.UnusableReason == "" {
		t.Errorf("%+v", got)
	}
	w.call("POST", "/v1/keys/"+made.ID+"/revoke", "").problem(http.StatusServiceUnavailable, "apply_pending")
	taken := decoded[importAnswer](w.call("POST", "/v1/import", `{"keys":[{"name":"New","source":"a"}]}`).want(http.StatusOK))
	if !keys.HasValidChecksum(taken.Imported[0].Token) || taken.Problem == "" {
		t.Errorf("%+v", taken)
	}
	if len(w.logged) != 3 {
		t.Errorf("logged: %q", w.logged)
	}
}

func TestGrace(t *testing.T) {
	place := []string{"components", "schemas", "Rotation", "properties", "grace", "pattern"}
	if got, _ := documentSchemas(t).at(t, place...); got != duration.Pattern {
		t.Errorf("openapi.json has another pattern: %v", got)
	}
	for text, want := range map[string]time.Duration{
		"0s": 0, "0d": 0, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": registry.MaxGrace, "1h30m": 90 * time.Minute,
		"720h0m0s": registry.MaxGrace, "168h0m0s": 168 * time.Hour, "100h30m5s": 100*time.Hour + 30*time.Minute + 5*time.Second,
		"30m15s": 30*time.Minute + 15*time.Second, "719h59m59s": registry.MaxGrace - time.Second, "43d": -1, "721h": -1, "720h1m": -1,
		"1.5h": 90 * time.Minute, "+1h": -1, "-1h": -1, "0": 0, "1w": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "d": -1, "1h ": -1,
		"43200m": registry.MaxGrace, "2592000s": registry.MaxGrace, "43201m": -1, "5w": -1, "1y": -1,
	} {
		if got, err := parseGrace(&text); (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
