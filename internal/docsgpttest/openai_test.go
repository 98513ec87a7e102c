package docsgpttest

import (
	"strings"
	"testing"
)

func TestOpenAI(t *testing.T) {
	_, s := startBackend(t, true)
	const path = "/v1/chat/completions"
	request := `{"model":"x","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"How?"}]}]`
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		contains                 string
	}{
		{"answer", "POST", path, request + `,"api_key":"` + keyBeta + `","active_docs":"` + beta + `"}`, bearer(keyAlpha), 200, `"content":"stub answer: source=alpha.md (` + alpha + `) turns=1 asked=\"How?\"`},
		{"upper case, trailing space", "POST", path, request + "}", bearer(strings.ToUpper(keyAlpha) + " "), 200, "alpha.md"},
		{"two turns", "POST", path, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`, bearer(keyAlpha), 200, `turns=2 asked=\"c\"`},
		{"ends with the result of a tool", "POST", path, `{"messages":[{"role":"user","content":"a"},{"role":"tool","content":"b"}]}`, bearer(keyAlpha), 200, `source=none`},
		{"no header", "POST", path, request + "}", nil, 401, `{"error":{"message":"Missing Authorization header","type":"auth_error"}}`},
		{"scheme in lower case", "POST", path, request + "}", []string{"Authorization", "bearer " + keyAlpha}, 401, "Missing Authorization header"},
		{"key without a scheme", "POST", path, request + "}", []string{"Authorization", keyAlpha}, 401, "Missing Authorization header"},
		{"bad key", "POST", path, request + "}", bearer("nope"), 401, `{"error":{"message":"Invalid API key","type":"auth_error"}}`},
		{"access token", "POST", path, request + "}", bearer(tokenAll), 401, "Invalid API key"},
		{"messages are checked before the key", "POST", path, `{}`, bearer("nope"), 400, `{"error":{"message":"messages field is required","type":"invalid_request"}}`},
		{"messages as text", "POST", path, `{"messages":"x"}`, bearer(keyAlpha), 400, "Failed to process request"},
		{"a list as body", "POST", path, `[1]`, bearer(keyAlpha), 500, "<h1>Internal Server Error</h1>"},
		{"foreign conversation", "POST", path, request + `,"conversation_id":"nope"}`, bearer(keyAlpha), 400, `"code":"conversation_not_found"`},
		{"models", "GET", "/v1/models", "", bearer(keyAlpha), 200, `"name":"alpha.md","object":"model","owned_by":"docsgpt"}],"object":"list"}`},
		{"models, bad key", "GET", "/v1/models", "", bearer("nope"), 401, "Invalid API key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := send(t, c.method, s.URL+c.path, c.body, c.headers...); got.status != c.status || !strings.Contains(got.body, c.contains) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	t.Run("a session shares a conversation, per agent", func(t *testing.T) {
		one := `{"messages":[{"role":"user","content":"a"}]}`
		for i, want := range []string{"turns=1", "turns=2"} {
			if got := send(t, "POST", s.URL+path, one, "Authorization", "Bearer "+keyAlpha, "X-Session-ID", "7"); !strings.Contains(got.body, want) {
				t.Errorf("question %d: %s", i+1, got.body)
			}
		}
		if got := send(t, "POST", s.URL+path, one, "Authorization", "Bearer "+keyBeta, "X-Session-ID", "7"); !strings.Contains(got.body, "turns=1") {
			t.Errorf("other agent: %s", got.body)
		}
	})
	t.Run("an idempotency key replays the response, even for another body", func(t *testing.T) {
		ask := func(key, question string) string {
			return send(t, "POST", s.URL+path, `{"messages":[{"role":"user","content":"`+question+`"}]}`,
				"Authorization", "Bearer "+key, "Idempotency-Key", "1").body
		}
		first := ask(keyAlpha, "a")
		if again := ask(keyAlpha, "b"); again != first {
			t.Errorf("not replayed: %s", again)
		}
		if other := ask(keyBeta, "b"); other == first {
			t.Error("replayed to another agent")
		}
	})
	t.Run("stream", func(t *testing.T) {
		got := send(t, "POST", s.URL+path, request+`,"stream":true,"stream_options":{"include_usage":true}}`, bearer(keyAlpha)...)
		if got.header.Get("Cache-Control") != "no-cache" || got.header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("headers %v", got.header)
		}
		if strings.Contains(got.body, "id: 0\n") || !strings.HasSuffix(got.body, "\n\ndata: [DONE]\n\n") {
			t.Errorf("stream %s", got.body)
		}
		answer, finish, cost := "", "", false
		for _, e := range events(t, got.body) {
			if e["object"] != "chat.completion.chunk" {
				t.Errorf("event %v", e)
			}
			_, hasUsage := e["usage"]
			cost = cost || hasUsage
			for _, choice := range e["choices"].([]any) {
				c := choice.(map[string]any)
				piece, _ := c["delta"].(map[string]any)["content"].(string)
				answer += piece
				if reason, is := c["finish_reason"].(string); is {
					finish = reason
				}
			}
		}
		if !strings.HasPrefix(answer, "stub answer: source=alpha.md") || finish != "stop" || !cost {
			t.Errorf("answer %q, finish %q, usage %t", answer, finish, cost)
		}
	})
}
