package docsgpttest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestSourceSelection checks the response to each kind of request to /stream and /api/answer, in both modes unless a case has
// one.
func TestSourceSelection(t *testing.T) {
	const (
		fromAlpha = "source=alpha.md (" + alpha + ") "
		fromBeta  = "source=beta.md (" + beta + ") "
		fromNone  = "source=none "
		noKey     = "Unauthorized"
	)
	notAllowed := func(message string) string {
		return `{"error":"resource_not_allowed","message":"` + message + `","success":false}`
	}
	otherSource := notAllowed("Token is not allowed to use one of the referenced sources")
	cases := []struct {
		name         string
		mode         string // "open", "oidc" or "" for both
		body         string
		auth         []string
		stream       int    // status of /stream
		answer       int    // status of /api/answer
		want         string // contained in both responses
		answerNoText bool   // want is checked for /stream only
	}{
		{name: "key", body: chatBody("api_key", keyAlpha), stream: 200, answer: 200, want: fromAlpha},
		{name: "key in upper case", body: chatBody("api_key", strings.ToUpper(keyAlpha)), stream: 200, answer: 200, want: fromAlpha},
		{name: "key of two sources", body: chatBody("api_key", keyBoth), stream: 200, answer: 200, want: "source=alpha.md (" + alpha + "), beta.md (" + beta + ") "},
		{name: "a key has precedence over active_docs", body: chatBody("api_key", keyAlpha, "active_docs", beta), stream: 200, answer: 200, want: fromAlpha},
		{name: "a key has precedence over a list", body: chatBody("api_key", keyAlpha, "active_docs", []string{beta}, "isNoneDoc", true, "chunks", 0), stream: 200, answer: 200, want: fromAlpha},
		{name: "privileged fields are listed", body: chatBody("api_key", keyAlpha, "llm_params", map[string]any{"model": "x"}, "client_tools", []any{}), stream: 200, answer: 200, want: " live=client_tools,llm_params asked="},
		{name: "invalid key", body: chatBody("api_key", "nope"), stream: 400, answer: 500, want: msgUnknown, answerNoText: true},
		{name: "key as an object", body: chatBody("api_key", map[string]any{"$ne": nil}), stream: 400, answer: 500, want: msgUnknown, answerNoText: true},
		{name: "key as a list", body: chatBody("api_key", []string{keyAlpha}), stream: 400, answer: 500, want: msgUnknown, answerNoText: true},
		{name: "key with a leading space", body: chatBody("api_key", " "+keyAlpha), stream: 400, answer: 500, want: msgUnknown, answerNoText: true},
		{name: "agent id and key", body: chatBody("api_key", keyAlpha, "agent_id", "x"), stream: 400, answer: 500, want: msgUnknown, answerNoText: true},
		{name: "the last of two keys is used", body: `{"question":"How?","api_key":"` + keyAlpha + `","api_key":"` + keyBeta + `"}`, stream: 200, answer: 200, want: fromBeta},
		{name: "field names are case-sensitive", mode: "oidc", body: chatBody("API_KEY", keyAlpha), stream: 401, answer: 401, want: noKey},
		{name: "escaped field name", body: `{"question":"How?","api\u005fkey":"` + keyAlpha + `"}`, stream: 200, answer: 200, want: fromAlpha},

		{name: "no credential, oidc", mode: "oidc", body: chatBody("active_docs", beta), stream: 401, answer: 401, want: noKey},
		{name: "no credential, open: the owner", mode: "open", body: chatBody("active_docs", beta), stream: 200, answer: 200, want: fromBeta},
		{name: "list of sources", mode: "open", body: chatBody("active_docs", []string{beta, "", "nope", alpha}), stream: 200, answer: 200, want: "source=beta.md (" + beta + "), alpha.md (" + alpha + ") "},
		{name: "source in upper case is not found", mode: "open", body: chatBody("active_docs", strings.ToUpper(beta)), stream: 200, answer: 200, want: fromNone},
		{name: "unknown source", mode: "open", body: chatBody("active_docs", "default"), stream: 200, answer: 200, want: fromNone},
		{name: "retrieval off", mode: "open", body: chatBody("active_docs", beta, "isNoneDoc", true), stream: 200, answer: 200, want: fromNone},
		{name: "no chunks", mode: "open", body: chatBody("active_docs", beta, "chunks", 0), stream: 200, answer: 200, want: fromNone},
		{name: "falsy key is treated as absent", mode: "oidc", body: chatBody("api_key", ""), stream: 401, answer: 401, want: noKey},
		{name: "null key, open", mode: "open", body: chatBody("api_key", nil, "active_docs", beta), stream: 200, answer: 200, want: fromBeta},
		{name: "zero key, open", mode: "open", body: chatBody("api_key", 0, "active_docs", beta), stream: 200, answer: 200, want: fromBeta},
		{name: "empty list as key, open", mode: "open", body: chatBody("api_key", []any{}, "active_docs", beta), stream: 200, answer: 200, want: fromBeta},
		{name: "key as Bearer, open: ignored", mode: "open", body: chatBody("active_docs", beta), auth: bearer(keyAlpha), stream: 200, answer: 200, want: fromBeta},
		{name: "key as Bearer, oidc", mode: "oidc", body: chatBody(), auth: bearer(keyAlpha), stream: 401, answer: 401, want: "invalid_token"},
		{name: "other Bearer and a valid key, oidc", mode: "oidc", body: chatBody("api_key", keyAlpha), auth: bearer("x"), stream: 401, answer: 401, want: "invalid_token"},
		{name: "other Bearer and a valid key, open", mode: "open", body: chatBody("api_key", keyAlpha), auth: bearer("x"), stream: 200, answer: 200, want: fromAlpha},
		{name: "invalid access token and a valid key", body: chatBody("api_key", keyAlpha), auth: bearer(tokenAlpha + "x"), stream: 401, answer: 401, want: "invalid_token"},

		{name: "restricted token", body: chatBody("active_docs", alpha), auth: bearer(tokenAlpha), stream: 200, answer: 200, want: fromAlpha},
		{name: "token without a scheme", body: chatBody("active_docs", alpha), auth: []string{"Authorization", tokenAlpha}, stream: 200, answer: 200, want: fromAlpha},
		{name: "scheme in lower case", body: chatBody("active_docs", alpha), auth: []string{"Authorization", "bearer  " + tokenAlpha}, stream: 200, answer: 200, want: fromAlpha},
		{name: "restricted token, list with an empty id", body: chatBody("active_docs", []string{alpha, ""}, "api_key", ""), auth: bearer(tokenAlpha), stream: 200, answer: 200, want: fromAlpha},
		{name: "restricted token, other source", body: chatBody("active_docs", beta), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "restricted token, one of two", body: chatBody("active_docs", []string{alpha, beta}), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "restricted token, default", body: chatBody("active_docs", "default"), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "restricted token, object", body: chatBody("active_docs", map[string]string{"id": beta}), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "restricted token, its source in an object", body: chatBody("active_docs", map[string]string{"id": alpha}), auth: bearer(tokenAlpha), stream: 200, answer: 200, want: fromNone},
		{name: "restricted token, JSON text", body: chatBody("active_docs", `["`+beta+`"]`), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "restricted token, nested", body: chatBody("active_docs", [][]string{{beta}}), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "restricted token, number", body: chatBody("active_docs", 0), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "restricted token, upper case", body: chatBody("active_docs", strings.ToUpper(alpha)), auth: bearer(tokenAlpha), stream: 200, answer: 200, want: fromNone},
		{name: "restricted token, no source", body: chatBody(), auth: bearer(tokenAlpha), stream: 200, answer: 200, want: fromNone},
		{name: "restricted token with a key", body: chatBody("api_key", keyAlpha), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: notAllowed("A restricted token cannot chat with an agent API key; pass agent_id")},
		{name: "restricted token with an agent", body: chatBody("agent_id", "x"), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: notAllowed("This token is restricted to specific sources and cannot run agents")},
		{name: "restricted token with a workflow", body: chatBody("workflow", map[string]any{"a": 1}), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: notAllowed("A restricted token cannot run an inline workflow")},
		{name: "restricted token, unknown conversation", body: chatBody("conversation_id", "nope"), auth: bearer(tokenAlpha), stream: 403, answer: 403, want: notAllowed("This conversation does not belong to the agent this token may use")},
		{name: "the token is checked before the missing question", body: `{"active_docs":"` + beta + `"}`, auth: bearer(tokenAlpha), stream: 403, answer: 403, want: otherSource},
		{name: "unrestricted token", body: chatBody("active_docs", beta), auth: bearer(tokenAll), stream: 200, answer: 200, want: fromBeta},
		{name: "unrestricted token with a key: the key determines the source", body: chatBody("api_key", keyAlpha, "active_docs", beta), auth: bearer(tokenAll), stream: 200, answer: 200, want: fromAlpha},

		{name: "no question", body: `{}`, stream: 400, answer: 400, want: `{"message":"Missing required fields: question","success":false}` + "\n"},
		{name: "index without conversation_id", body: chatBody("api_key", keyAlpha, "index", 0), stream: 400, answer: 400, want: `Missing required fields: conversation_id"`},
		{name: "history as an array", body: chatBody("api_key", keyAlpha, "history", []any{}), stream: 400, answer: 500, want: msgUnknown, answerNoText: true},
		{name: "history is not JSON", body: chatBody("api_key", keyAlpha, "history", "x"), stream: 400, answer: 500, want: msgMalformed, answerNoText: true},
		{name: "history as null text", body: chatBody("api_key", keyAlpha, "history", "null"), stream: 200, answer: 200, want: fromAlpha},
		{name: "complete turns in the history are counted", body: chatBody("api_key", keyAlpha, "history", `[{"prompt":"a","response":"b"},{"prompt":"How?"}]`), stream: 200, answer: 200, want: " turns=2 "},
		{name: "unknown conversation", body: chatBody("api_key", keyAlpha, "conversation_id", "None"), stream: 400, answer: 500, want: msgMalformed, answerNoText: true},
		{name: "a number as question", body: chatBody("api_key", keyAlpha, "question", 1), stream: 200, answer: 400, want: msgTryLater},
		{name: "null as body", body: "null", stream: 500, answer: 500, want: `{"message": "Internal Server Error"}` + "\n"},
		{name: "not JSON", body: "{bad", stream: 400, answer: 400, want: `{"message": "` + msgBadBody + `"}` + "\n"},
		{name: "two documents", body: "{}{}", stream: 400, answer: 400, want: msgBadBody},
		{name: "not UTF-8", body: "{\"question\":\"\xff\"}", stream: 400, answer: 400, want: msgBadBody},
		{name: "UTF-16 without a byte order mark", body: encodeUTF16(chatBody("api_key", keyAlpha)), stream: 200, answer: 200, want: fromAlpha},
		{name: "UTF-8 with a byte order mark", body: "\ufeff" + chatBody("api_key", keyAlpha), stream: 200, answer: 200, want: fromAlpha},
	}
	for _, mode := range []string{"oidc", "open"} {
		_, s := startBackend(t, mode == "open")
		for _, c := range cases {
			if c.mode != "" && c.mode != mode {
				continue
			}
			t.Run(mode+"/"+c.name, func(t *testing.T) {
				got := send(t, "POST", s.URL+"/stream", c.body, c.auth...)
				if text := answerText(t, got); got.status != c.stream || !strings.Contains(text, c.want) {
					t.Errorf("/stream: %d %s\nwant %d %s", got.status, text, c.stream, c.want)
				}
				got = send(t, "POST", s.URL+"/api/answer", c.body, c.auth...)
				if text := answerText(t, got); got.status != c.answer || !c.answerNoText && !strings.Contains(text, c.want) {
					t.Errorf("/api/answer: %d %s\nwant %d %s", got.status, text, c.answer, c.want)
				}
			})
		}
	}
}

func TestBodyAndPathParsing(t *testing.T) {
	b, s := startBackend(t, false)
	good := chatBody("api_key", keyAlpha)
	cases := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		contains                 string
	}{
		{"charset is ignored", "POST", "/stream", good, []string{"Content-Type", "APPLICATION/JSON; charset=utf-16"}, 200, "data: "},
		{"vendor type", "POST", "/stream", good, []string{"Content-Type", "application/vnd.x+json"}, 200, "data: "},
		{"text", "POST", "/stream", good, []string{"Content-Type", "text/plain"}, 415, `{"message": "` + msgContentType + `"}`},
		{"form", "POST", "/api/search", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, msgContentType},
		{"list of types", "POST", "/stream", good, []string{"Content-Type", "application/json, application/json"}, 415, msgContentType},
		{"text on v1 is HTML", "POST", "/v1/chat/completions", "{}", []string{"Content-Type", "text/plain", "Authorization", "Bearer " + keyAlpha}, 415, "<h1>Unsupported Media Type</h1>"},
		{"invalid JSON on v1 is HTML", "POST", "/v1/chat/completions", "{bad", bearer(keyAlpha), 400, "<title>400 Bad Request</title>"},
		{"two slashes", "POST", "//stream", good, nil, 200, "data: "},
		{"escaped slash", "POST", "/%2Fstream", good, nil, 200, "data: "},
		{"escaped letter", "POST", "/%73tream", good, nil, 200, "data: "},
		{"escaped slash inside", "POST", "/api%2Fanswer", good, nil, 200, "stub answer"},
		{"trailing slash", "POST", "/stream/", good, nil, 404, "<h1>Not Found</h1>"},
		{"other case", "POST", "/Stream", good, nil, 404, "<h1>Not Found</h1>"},
		{"slashes inside", "POST", "/api//answer", good, nil, 308, "Redirecting"},
		{"method", "GET", "/stream", "", nil, 405, `{"message": "` + msgMethod + `"}`},
		{"method on v1", "GET", "/v1/chat/completions", "", nil, 405, "<h1>Method Not Allowed</h1>"},
		{"unknown path", "GET", "/api/agents", "", nil, 404, "<h1>Not Found</h1>"},
		{"health", "GET", "/api/health", "", nil, 200, `{"status":"ok"}` + "\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := send(t, c.method, s.URL+c.path, c.body, c.headers...)
			if got.status != c.status || !strings.Contains(got.body, c.contains) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Error("no CORS header")
			}
		})
	}
	t.Run("a chunked body is read as empty, and recorded", func(t *testing.T) {
		b.Reset()
		req, _ := http.NewRequest("POST", s.URL+"/stream?x=1", struct{ io.Reader }{strings.NewReader(good)})
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(body), msgBadBody) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		calls := b.Calls()
		if len(calls) != 1 {
			t.Fatalf("%d calls", len(calls))
		}
		call := calls[0]
		if call.Method != "POST" || call.Path != "/stream" || call.RawQuery != "x=1" || string(call.Body) != good ||
			call.ContentLength != -1 || len(call.TransferEncoding) != 1 || call.RemoteAddr == "" || call.Canceled ||
			call.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v", call)
		}
	})
}

func TestPreflight(t *testing.T) {
	_, s := startBackend(t, false)
	ask := func(headers string) response {
		return send(t, "OPTIONS", s.URL+"/anything", "", "Origin", "https://docs.example.com",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", headers)
	}
	if got := ask("content-type"); got.status != 200 || got.body != "OK" || got.header.Get("Access-Control-Max-Age") != "600" {
		t.Errorf("allowed: %d %q", got.status, got.body)
	}
	if got := ask("x-request-id"); got.status != 400 || got.body != "Disallowed CORS headers" {
		t.Errorf("not allowed: %d %q", got.status, got.body)
	}
	if got := send(t, "OPTIONS", s.URL+"/stream", ""); got.status != 200 || got.body != "" {
		t.Errorf("not a preflight: %d %q", got.status, got.body)
	}
}

func TestConversation(t *testing.T) {
	_, s := startBackend(t, false)
	ask := func(path string, fields ...any) map[string]any {
		t.Helper()
		got := send(t, "POST", s.URL+path, chatBody(fields...))
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(got.body), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := ask("/api/answer", "api_key", keyAlpha)
	id := first["conversation_id"].(string)
	second := ask("/api/answer", "api_key", keyAlpha, "conversation_id", id)
	if !strings.Contains(second["answer"].(string), " turns=2 ") || second["conversation_id"] != id {
		t.Errorf("second question: %v", second)
	}
	// All agents belong to one owner, so another key can continue the conversation and even delete turns.
	third := ask("/api/answer", "api_key", keyBeta, "conversation_id", id, "index", 0)
	if answer := third["answer"].(string); !strings.Contains(answer, "turns=1 live=index ") || !strings.Contains(answer, "beta.md") {
		t.Errorf("question with another key: %v", answer)
	}
	if transient := ask("/api/answer", "api_key", keyAlpha, "persist", false); transient["conversation_id"] != "None" {
		t.Errorf("stored: %v", transient["conversation_id"])
	}
	transient := send(t, "POST", s.URL+"/stream", chatBody("api_key", keyAlpha, "persist", false)).body
	if strings.Contains(transient, "id: 0") || strings.Contains(transient, "message_id") ||
		!strings.Contains(transient, `{"type": "id", "id": "None"}`) {
		t.Errorf("stream that is not stored: %s", transient)
	}

	feedback := func(key, conversation string, index any) response {
		data, _ := json.Marshal(map[string]any{
			"feedback": "LIKE", "question": "q", "answer": "a", "api_key": key,
			"conversation_id": conversation, "question_index": index,
		})
		return send(t, "POST", s.URL+"/api/feedback", string(data))
	}
	for _, c := range []struct {
		name   string
		got    response
		status int
		body   string
	}{
		{"own conversation", feedback(keyAlpha, id, 0), 200, `{"success":true}`},
		{"key in upper case", feedback(strings.ToUpper(keyAlpha), id, 0), 404, `{"message":"Not found","success":false}`},
		{"other key", feedback(keyBeta, id, 0), 404, "Not found"},
		{"bad key", feedback("nope", id, 0), 401, `{"success":false}`},
		{"unknown conversation", feedback(keyAlpha, "None", 0), 404, "Not found"},
		{"index that is text", feedback(keyAlpha, id, "x"), 500, msgInternal},
		{
			"old widget", send(t, "POST", s.URL+"/api/feedback", `{"feedback":"LIKE","api_key":"`+keyAlpha+`"}`), 400,
			`{"message":"Missing required fields: conversation_id, question_index","success":false}`,
		},
		{"access token", send(t, "POST", s.URL+"/api/feedback", `{}`, bearer(tokenAlpha)...), 403, "insufficient_scope"},
	} {
		if c.got.status != c.status || !strings.Contains(c.got.body, c.body) {
			t.Errorf("feedback, %s: %d %s", c.name, c.got.status, c.got.body)
		}
	}
}

func TestSearch(t *testing.T) {
	_, s := startBackend(t, false)
	for _, c := range []struct {
		name, path, body string
		auth             []string
		status           int
		contains         string
	}{
		{"one source", "/api/search", chatBody("api_key", keyBeta, "active_docs", alpha), nil, 200, `[{"source":"beta.md","text":"# beta.md\n`},
		{"two sources", "/api/search", chatBody("api_key", keyBoth), nil, 200, `"title":"beta.md"}]`},
		{"no question", "/api/search", `{}`, nil, 400, `{"error":"question is required"}`},
		{"no key", "/api/search", chatBody(), nil, 400, `{"error":"api_key is required"}`},
		{"bad key", "/api/search", chatBody("api_key", "nope"), nil, 401, `{"error":"Invalid API key"}`},
		{"key as an object", "/api/search", chatBody("api_key", map[string]any{"a": 1}), nil, 500, `{"error":"Search failed"}`},
		{"no chunks: the key is not checked", "/api/search", chatBody("api_key", "nope", "chunks", 0), nil, 200, "[]\n"},
		{"chunks as text", "/api/search", chatBody("api_key", keyAlpha, "chunks", "2"), nil, 500, msgInternal},
		{"confined token", "/api/search", chatBody("api_key", keyAlpha), bearer(tokenAlpha), 403, "resource_not_allowed"},
		{"free token", "/api/search", chatBody("api_key", keyAlpha), bearer(tokenAll), 200, "alpha.md"},
		{"by source", "/api/sources/" + alpha + "/search", `{"query":"x"}`, bearer(tokenAlpha), 200, `"title":"alpha.md"`},
		{"by source in upper case", "/api/sources/" + strings.ToUpper(alpha) + "/search", `{"query":"x"}`, bearer(tokenAlpha), 200, `"title":"alpha.md"`},
		{"by another source", "/api/sources/" + beta + "/search", `{"query":"x"}`, bearer(tokenAlpha), 403, "resource_not_allowed"},
		{"by an unknown source", "/api/sources/nope/search", `{"query":"x"}`, bearer(tokenAll), 404, "Source not found"},
		{"by source without a query", "/api/sources/" + alpha + "/search", `{}`, bearer(tokenAll), 400, "Query is required"},
		{"by source without a token", "/api/sources/" + alpha + "/search", `{"query":"x"}`, nil, 401, "false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := send(t, "POST", s.URL+c.path, c.body, c.auth...); got.status != c.status || !strings.Contains(got.body, c.contains) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}
