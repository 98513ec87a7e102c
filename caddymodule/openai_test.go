package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Programs and pages read why a path below /v1 does not work, and what to use instead.
func TestUnservedOpenAIPaths(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for _, c := range []struct{ method, path, want string }{
			{"POST", "/v1/responses", "useResponsesApi: false"},
			{"POST", "/v1//responses", "openai.chat("},
			{"DELETE", "/v1/responses/resp_1", "Use Responses API"},
			{"POST", "/v1/embeddings", "POST /v1/chat/completions, GET /v1/models"},
			{"GET", "/v1/", "GET /v1/models/{id}"},
			{"OPTIONS", "/v1/embeddings", "POST /v1/chat/completions"}, // not a preflight
		} {
			r := g.send(c.method, c.path, "{}", "Authorization", "Bearer "+tokenAgent)
			if r.status != http.StatusNotFound || !strings.Contains(r.body, `"type":"invalid_request_error"`) {
				t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
			}
			checkErrorFormat(t, "/v1/"+c.path, r, "not_found")
			var body struct{ Error struct{ Message string } }
			if err := json.Unmarshal([]byte(r.body), &body); err != nil || !strings.Contains(body.Error.Message, c.want) {
				t.Errorf("%s %s: %q lacks %q", c.method, c.path, body.Error.Message, c.want)
			}
		}
		for _, path := range []string{"/v1/responses", "/v1//responses", "/v1"} {
			r := g.send(http.MethodOptions, path, "", "Origin", "https://docs.example.com", "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "authorization,content-type")
			if r.status != http.StatusNoContent || !strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") ||
				!strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Authorization") {
				t.Errorf("preflight for %s: %d %v", path, r.status, r.header)
			}
		}
		if r := g.send(http.MethodOptions, "/api/upload", "", "Access-Control-Request-Method", "POST"); r.status != http.StatusNotFound {
			t.Errorf("preflight for another path: %d", r.status)
		}
		if calls := g.backend.Calls(); len(calls) > 0 {
			t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
		}
	})
}

func TestOpenAIPathsWithRepeatedSlashes(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		bearer := []string{"Authorization", "Bearer " + tokenAgent}
		if r := g.send(http.MethodPost, "/v1//chat/completions", `{"messages":[{"role":"user","content":"q"}]}`, bearer...); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
		if path := g.lastCall().Path; path != "/v1/chat/completions" {
			t.Errorf("DocsGPT got %s", path)
		}
		if r := g.send(http.MethodGet, "//v1/models", "", bearer...); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
		if path := g.lastCall().Path; path != "/v1/models" {
			t.Errorf("DocsGPT got %s", path)
		}
	})
}

func TestSingleModel(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		bearer := []string{"Authorization", "Bearer " + tokenAgent}
		var list struct{ Data []json.RawMessage }
		if err := json.Unmarshal([]byte(g.send(http.MethodGet, "/v1/models", "", bearer...).body), &list); err != nil || len(list.Data) != 1 {
			t.Fatalf("%v, %d models", err, len(list.Data))
		}
		var model struct{ ID string }
		if err := json.Unmarshal(list.Data[0], &model); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/v1/models/" + model.ID, "/v1//models/" + model.ID, "/v1/models/%" + hexOf(model.ID[0]) + model.ID[1:]} {
			r := g.send(http.MethodGet, path, "", bearer...)
			if r.status != http.StatusOK || strings.TrimSpace(r.body) != string(list.Data[0]) || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s %s, want %s", path, r.status, r.header.Get("Content-Type"), r.body, list.Data[0])
			}
			if call := g.lastCall(); call.Path != "/v1/models" || call.RawQuery != "" {
				t.Errorf("%s: DocsGPT got %s?%s", path, call.Path, call.RawQuery)
			}
		}
		for _, path := range []string{"/v1/models/docsgpt", "/v1/models/..", "/v1/models/" + strings.ToUpper(model.ID)} {
			r := g.send(http.MethodGet, path, "", bearer...)
			if r.status != http.StatusNotFound {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
			checkErrorFormat(t, path, r, "model_not_found")
		}
		for token, want := range map[string]int{"nobody": http.StatusUnauthorized, tokenSource: http.StatusForbidden} {
			if r := g.send(http.MethodGet, "/v1/models/"+model.ID, "", "Authorization", "Bearer "+token); r.status != want {
				t.Errorf("%s: %d %s", token, r.status, r.body)
			}
		}
		if r := g.send(http.MethodDelete, "/v1/models/"+model.ID, "", bearer...); r.status != http.StatusMethodNotAllowed {
			t.Errorf("DELETE: %d %s", r.status, r.body)
		}
	})
}

func hexOf(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

func TestFirstChunkHasRole(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		r := g.send(http.MethodPost, "/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"q"}]}`,
			"Authorization", "Bearer "+tokenAgent)
		var roles []string
		for line := range strings.Lines(r.body) {
			data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
			if !ok || data == "[DONE]" {
				continue
			}
			var chunk struct {
				Choices []struct{ Delta struct{ Role string } }
			}
			if err := json.Unmarshal([]byte(data), &chunk); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
			for _, choice := range chunk.Choices {
				roles = append(roles, choice.Delta.Role)
			}
		}
		if got := strings.Join(roles, ","); !strings.HasPrefix(got, "assistant,,") || strings.Count(got, "assistant") != 1 {
			t.Errorf("got the roles %s: %s", got, r.body)
		}
	})
}
