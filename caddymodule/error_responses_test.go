package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestErrorResponses(t *testing.T) {
	testForwardModes(t, "max_body_size 1KiB", func(t *testing.T, g *gate) {
		question := func(token string) string { return `{"question":"q","api_key":` + token + `}` }
		long := `{"question":"` + strings.Repeat("x", 1024) + `","api_key":"` + tokenAgent + `"}`
		for name, c := range map[string]struct {
			method, path, body string
			headers            []string
			status             int
			code               string
		}{
			"no token":                 {"POST", "/stream", `{"question":"q"}`, nil, 401, "invalid_api_key"},
			"null":                     {"POST", "/stream", question("null"), nil, 401, "invalid_api_key"},
			"empty":                    {"POST", "/api/answer", question(`""`), nil, 401, "invalid_api_key"},
			"list":                     {"POST", "/api/answer", question(`["` + tokenAgent + `"]`), nil, 401, "invalid_api_key"},
			"operator":                 {"POST", "/api/search", question(`{"$ne":null}`), nil, 401, "invalid_api_key"},
			"unknown":                  {"POST", "/stream", question(`"nobody"`), nil, 401, "invalid_api_key"},
			"other case":               {"POST", "/stream", question(`"` + strings.ToUpper(tokenAgent) + `"`), nil, 401, "invalid_api_key"},
			"DocsGPT's own key":        {"POST", "/stream", question(`"` + agentAlpha + `"`), nil, 401, "invalid_api_key"},
			"expired":                  {"POST", "/stream", question(`"` + tokenOld + `"`), nil, 401, "invalid_api_key"},
			"disabled":                 {"POST", "/api/answer", question(`"` + tokenOff + `"`), nil, 401, "invalid_api_key"},
			"bearer where body counts": {"POST", "/stream", `{"question":"q"}`, []string{"Authorization", "Bearer " + tokenAgent}, 401, "invalid_api_key"},
			"query where body counts":  {"POST", "/stream?api_key=" + tokenAgent, `{"question":"q"}`, nil, 401, "invalid_api_key"},
			"body where bearer counts": {"POST", "/v1/chat/completions", `{"messages":[],"api_key":"` + tokenAgent + `"}`, nil, 401, "invalid_api_key"},
			"two bearers": {"GET", "/v1/models", "", []string{
				"Authorization", "Bearer " + tokenAgent, "Authorization", "Bearer " + tokenAgent,
			}, 401, "invalid_api_key"},
			"basic":               {"GET", "/v1/models", "", []string{"Authorization", "Basic " + tokenAgent}, 401, "invalid_api_key"},
			"wrong bearer":        {"GET", "/v1/models", "", []string{"Authorization", "Bearer nobody"}, 401, "invalid_api_key"},
			"duplicate":           {"POST", "/stream", `{"question":"q","api_key":"` + tokenAgent + `","api_key":"x"}`, nil, 400, "bad_request"},
			"not JSON":            {"POST", "/stream", `question=q`, nil, 400, "bad_request"},
			"no question":         {"POST", "/api/answer", `{"api_key":"` + tokenAgent + `"}`, nil, 400, "bad_request"},
			"form":                {"POST", "/stream", "a=b", []string{"Content-Type", "", "Content-Type", "application/x-www-form-urlencoded"}, 415, "not_json"},
			"two content types":   {"POST", "/stream", question(`"x"`), []string{"Content-Type", "application/json"}, 415, "not_json"},
			"compressed":          {"POST", "/stream", question(`"x"`), []string{"Content-Encoding", "gzip"}, 415, "not_json"},
			"too large":           {"POST", "/stream", long, nil, 413, "body_too_large"},
			"wrong method":        {"GET", "/stream", "", nil, 405, "method_not_allowed"},
			"unknown path":        {"POST", "/api/upload", "{}", nil, 404, "not_found"},
			"other spelling":      {"POST", "/Stream", question(`"` + tokenAgent + `"`), nil, 404, "not_found"},
			"trailing slash":      {"POST", "/stream/", question(`"` + tokenAgent + `"`), nil, 404, "not_found"},
			"dot segment":         {"POST", "/./stream", question(`"` + tokenAgent + `"`), nil, 404, "not_found"},
			"dot dot segment":     {"POST", "/x/../stream", question(`"` + tokenAgent + `"`), nil, 404, "not_found"},
			"inner double slash":  {"POST", "/api//answer", question(`"` + tokenAgent + `"`), nil, 404, "not_found"},
			"NUL":                 {"POST", "/stream%00", question(`"` + tokenAgent + `"`), nil, 404, "not_found"},
			"source key on /v1":   {"GET", "/v1/models", "", []string{"Authorization", "Bearer " + tokenSource}, 403, "binding_not_supported"},
			"foreign feedback":    {"POST", "/api/feedback", `{"feedback":"LIKE","conversation_id":"c","question_index":0,"api_key":"` + tokenAgent + `"}`, nil, 404, "conversation_not_found"},
			"images in messages":  {"POST", "/v1/chat/completions", `{"messages":[{"content":[{"type":"image_url"}]}]}`, []string{"Authorization", "Bearer " + tokenAgent}, 400, "bad_request"},
			"source upload":       {"POST", "/api/sources/" + sourceAlpha + "/search", `{"query":"q"}`, nil, 404, "not_found"},
			"create key":          {"POST", "/api/create_api_key", "{}", nil, 404, "not_found"},
			"preflight elsewhere": {"OPTIONS", "/api/upload", "", nil, 404, "not_found"},
		} {
			t.Run(name, func(t *testing.T) {
				g.backend.Reset()
				r := g.send(c.method, c.path, c.body, c.headers...)
				if r.status != c.status {
					t.Errorf("status %d, want %d: %s", r.status, c.status, r.body)
				}
				checkErrorFormat(t, c.path, r, c.code)
				assertNoSecrets(t, "the refusal", r.body+fmt.Sprint(r.header))
				if calls := g.backend.Calls(); len(calls) > 0 {
					t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
				}
			})
		}
		waitFor(t, "the last request is logged", func() bool { return strings.Contains(g.logs(), "/api/create_api_key") })
	})
}

// checkErrorFormat checks that an error response has the format of the clients of a path, and a code, and that any page can read it.
func checkErrorFormat(t *testing.T, path string, r response, code string) {
	t.Helper()
	if got := r.header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" {
		t.Errorf("Access-Control-Allow-Origin: %v", got)
	}
	checkErrorBody(t, path, r, code)
}

// checkErrorBody checks that an error response has the format of the clients of a path, and a code.
func checkErrorBody(t *testing.T, path string, r response, code string) {
	t.Helper()
	var got struct {
		Type, Message, Code string
		Error               any
		RequestID           string `json:"request_id"`
	}
	body := r.body
	served := strings.HasPrefix(path, "/stream") && !strings.HasPrefix(path, "/stream/") && !strings.HasPrefix(path, "/stream%")
	if served {
		var ok bool
		if body, ok = strings.CutPrefix(body, "data: "); !ok || !strings.HasSuffix(body, "\n\n") {
			t.Errorf("no event: %q", r.body)
		}
		if ct := r.header.Get("Content-Type"); ct != "text/event-stream; charset=utf-8" {
			t.Errorf("content type %q", ct)
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %q", err, r.body)
	}
	sentence, _ := got.Error.(string)
	if nested, ok := got.Error.(map[string]any); ok && strings.HasPrefix(path, "/v1/") {
		sentence, _ = nested["message"].(string)
		got.Code, _ = nested["code"].(string)
		got.RequestID, _ = nested["request_id"].(string)
	} else if !served && got.Message != sentence {
		t.Errorf("error %q, message %q", sentence, got.Message)
	} else if served && got.Type != "error" {
		t.Errorf("type %q", got.Type)
	}
	if sentence == "" || !strings.HasSuffix(sentence, ".") {
		t.Errorf("no sentence: %q", r.body)
	}
	if got.Code != code {
		t.Errorf("code %q, want %q", got.Code, code)
	}
	if got.RequestID == "" || got.RequestID != r.header.Get("X-Request-Id") {
		t.Errorf("request id %q, header %q", got.RequestID, r.header.Get("X-Request-Id"))
	}
}

func TestPreflight(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for _, path := range []string{"/stream", "//stream", "/api/answer", "/v1/chat/completions"} {
			r := g.send(http.MethodOptions, path, "", "Origin", "https://docs.example.com",
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-stainless-lang")
			if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != "*" ||
				!strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") ||
				!strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Authorization") {
				t.Errorf("%s: %d %v", path, r.status, r.header)
			}
		}
		if calls := g.backend.Calls(); len(calls) > 0 {
			t.Error("DocsGPT got a preflight")
		}
	})
}

// Every response names its request, so that users can report it.
func TestRequestID(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		seen := map[string]bool{}
		for _, r := range []response{
			g.ask("/stream", tokenAgent, "q", ""), g.ask("/api/answer", tokenAgent, "q", ""), g.ask("/api/answer", "unknown", "q", ""),
			g.send(http.MethodGet, "/api/health", ""), g.send(http.MethodOptions, "/stream", ""), g.send(http.MethodGet, "/unknown", ""),
		} {
			id := r.header.Get("X-Request-Id")
			if len(r.header["X-Request-Id"]) != 1 || len(id) != 16 || seen[id] {
				t.Errorf("%d: X-Request-Id %q", r.status, r.header["X-Request-Id"])
			}
			seen[id] = true
		}
	})
}
