package docsgpttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

const (
	alpha = "a23ab4b1-00cf-4bce-8731-8fbee2a50a39"
	beta  = "17ad69e0-b2fc-48ed-af93-42b3fe820758"

	keyAlpha   = "0c7de1a2-key-of-alpha"
	keyBeta    = "0c7de1a2-key-of-beta"
	keyBoth    = "0c7de1a2-key-of-both"
	tokenAlpha = "dgpt_pat_confined-to-alpha"
	tokenAll   = "dgpt_pat_unconfined"
)

// startBackend serves a backend with two sources. open: as with AUTH_TYPE unset.
func startBackend(t *testing.T, open bool) (*Backend, *httptest.Server) {
	t.Helper()
	b := New(Options{
		Label:   "stub",
		Keys:    map[string][]string{keyAlpha: {alpha}, keyBeta: {beta}, keyBoth: {alpha, beta}},
		Tokens:  map[string][]string{tokenAlpha: {alpha}, tokenAll: nil},
		Sources: map[string]string{alpha: "alpha.md", beta: "beta.md"},
		Open:    open,
	})
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	return b, s
}

// response is a complete response.
type response struct {
	status int
	header http.Header
	body   string
}

// send sends a request. headers are name, value pairs; the default Content-Type of a body is application/json.
func send(t *testing.T, method, url, body string, headers ...string) response {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(got)}
}

// chatBody returns a body for /stream and /api/answer with a question and more fields, given as name, value pairs.
func chatBody(fields ...any) string {
	body := map[string]any{"question": "How?", "history": "[]"}
	for i := 0; i < len(fields); i += 2 {
		body[fields[i].(string)] = fields[i+1]
	}
	data, _ := json.Marshal(body)
	return string(data)
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// events returns the decoded data of each event.
func events(t *testing.T, stream string) (list []map[string]any) {
	t.Helper()
	for line := range strings.SplitSeq(stream, "\n") {
		data, found := strings.CutPrefix(line, "data: ")
		if !found || data == "[DONE]" {
			continue
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("event %q: %v", data, err)
		}
		list = append(list, e)
	}
	return list
}

func TestStreamWireFormat(t *testing.T) {
	_, s := startBackend(t, false)
	body := chatBody("api_key", keyAlpha, "question", "Où est-il 🦕?")
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || len(resp.TransferEncoding) != 1 || resp.TransferEncoding[0] != "chunked" {
		t.Errorf("status %d, encoding %v", resp.StatusCode, resp.TransferEncoding)
	}
	for name, want := range map[string]string{
		"Server":                       "uvicorn",
		"Content-Type":                 "text/event-stream; charset=utf-8",
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Headers": "Content-Type, Authorization, Idempotency-Key",
		"Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
		"Vary":                         "Origin",
		"Cache-Control":                "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp.Header.Get("Date") == "" {
		t.Error("no Date")
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	stream := string(raw)
	if !strings.HasPrefix(stream, `id: 0`+"\n"+`data: {"type": "message_id", "message_id": "`) {
		t.Errorf("the stream begins with %.80q", stream)
	}
	if !strings.HasSuffix(stream, "\n"+`data: {"type": "end"}`+"\n\n") {
		t.Errorf("the stream ends with %q", stream[len(stream)-80:])
	}
	for i, frame := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		if !strings.HasPrefix(frame, fmt.Sprintf("id: %d\ndata: {\"type\": \"", i)) {
			t.Errorf("event %d is %q", i, frame)
		}
	}
	if !strings.Contains(stream, `O\u00f9`) || !strings.Contains(stream, `\ud83e\udd95`) {
		t.Error("text is not ASCII-escaped as json.dumps does it")
	}
	var answer string
	var order []string
	for _, e := range events(t, stream) {
		kind := e["type"].(string)
		if piece, is := e["answer"].(string); is {
			answer += piece
		}
		if len(order) == 0 || order[len(order)-1] != kind {
			order = append(order, kind)
		}
	}
	if got := strings.Join(order, " "); got != "message_id answer source tool_calls id end" {
		t.Errorf("order of events: %s", got)
	}
	line, _, _ := strings.Cut(answer, "\n")
	if want := `stub answer: source=alpha.md (` + alpha + `) turns=1 asked="Où est-il 🦕?"`; line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
}

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

// answerText returns the text of the answer, and the body of other responses.
func answerText(t *testing.T, r response) string {
	t.Helper()
	if r.status != 200 {
		return r.body
	}
	if strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		var v map[string]any
		if err := json.Unmarshal([]byte(r.body), &v); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(v["answer"])
	}
	text := ""
	for _, e := range events(t, r.body) {
		if piece, is := e["answer"].(string); is {
			text += piece
		}
		if message, is := e["error"].(string); is {
			text += message
		}
	}
	return text
}

func encodeUTF16(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
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

func TestFaults(t *testing.T) {
	_, s := startBackend(t, false)
	ask := func(question string) response {
		return send(t, "POST", s.URL+"/stream", chatBody("api_key", keyAlpha, "question", question))
	}
	for _, c := range []struct {
		name, question string
		status         int
		contains, not  string
	}{
		{"limit", "[[fail=429]]", 429, `{"message":"Exceeding usage limit, please try again later.","success":false}`, "data:"},
		{"quota", "[[fail=quota429]]", 429, `"error_code":"quota-exceeded"`, "data:"},
		{"origin", "[[fail=403]]", 403, `{"message":"This origin is not allowed to use this agent's API key.","success":false}`, "data:"},
		{"unavailable", "[[fail=503]]", 503, `Could not check this request's origin`, "data:"},
		{"internal", "[[fail=500]]", 500, `{"message": "Internal Server Error"}`, "data:"},
		{"like an invalid key", "[[fail=400]]", 400, `data: {"type": "error", "error": "Unknown error occurred"}`, "id: "},
		{"like no key", "[[fail=401]]", 401, `data: {"type": "error", "error": "Unauthorized"}`, "id: "},
		{"event", "[[errorevent]]", 200, `id: 1` + "\n" + `data: {"type": "error", "error": "` + msgTryLater + `", "code": "server_error"}`, `"end"`},
		{"plain JSON", "[[plainjson]]", 200, `{"error":"The answer could not be made.","success":false}`, "data:"},
		{"comments", "[[keepalive]]", 200, "\n\n: keepalive\n\nid: 1\n", "xyz"},
		{"no end", "[[noend]]", 200, `{"type": "id"`, `{"type": "end"}`},
		{"words", "[[words=30]]", 200, `"answer": " word30"`, "word31"},
		{"big", "[[big=70000]]", 200, strings.Repeat("x", 70000), strings.Repeat("x", 70001)},
		{"raw characters", "[[unicode]]", 200, `{"type": "answer", "answer": "東京 "}`, `\u`},
		{"split", "[[split]] [[unicode]]", 200, `{"type": "answer", "answer": "東京 "}`, `\u`},
		{"the first in order is applied", "[[errorevent]] [[fail=429]]", 429, `"success":false`, "data:"},
		{"no directive", "[[fail=200]] [[nope=1]] [[fail]]", 200, `{"type": "end"}`, "xyz"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(c.question)
			if got.status != c.status || !strings.Contains(got.body, c.contains) || strings.Contains(got.body, c.not) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if c.question == "[[fail=quota429]]" && got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	t.Run("other endpoints", func(t *testing.T) {
		v1 := func(question string, stream bool) response {
			return send(t, "POST", s.URL+"/v1/chat/completions", fmt.Sprintf(
				`{"stream":%t,"messages":[{"role":"user","content":"%s"}]}`, stream, question), bearer(keyAlpha)...)
		}
		for name, c := range map[string]struct {
			got      response
			status   int
			contains string
		}{
			"v1 limit":               {v1("[[fail=429]]", false), 429, `{"message":"Exceeding usage limit`},
			"v1 origin":              {v1("[[fail=403]]", true), 403, `"type":"permission_error"`},
			"v1 unavailable":         {v1("[[fail=503]]", false), 503, `"type":"server_error"`},
			"v1 like an invalid key": {v1("[[fail=401]]", false), 401, `{"error":{"message":"Invalid API key","type":"auth_error"}}`},
			"v1 model":               {v1("[[errorevent]]", false), 500, `{"error":{"message":"` + msgTryLater + `","type":"server_error"}}`},
			"v1 model, stream":       {v1("[[errorevent]]", true), 200, `data: {"error": {"message": "` + msgTryLater},
			"answer, model": {
				send(t, "POST", s.URL+"/api/answer", chatBody("api_key", keyAlpha, "question", "[[errorevent]]")), 400,
				`{"code":"server_error","error":"` + msgTryLater + `"}`,
			},
			"answer, internal": {
				send(t, "POST", s.URL+"/api/answer", chatBody("api_key", keyAlpha, "question", "[[fail=500]]")), 500,
				`{"error":"An error occurred processing your request"}`,
			},
			"search": {
				send(t, "POST", s.URL+"/api/search", chatBody("api_key", keyAlpha, "question", "[[fail=500]]")), 500,
				`{"error":"Search failed"}`,
			},
		} {
			if c.got.status != c.status || !strings.Contains(c.got.body, c.contains) || strings.Contains(c.got.body, "[DONE]") {
				t.Errorf("%s: %d %s", name, c.got.status, c.got.body)
			}
		}
	})
	t.Run("cut", func(t *testing.T) {
		for _, path := range []string{"/stream", "/api/answer"} {
			resp, err := http.Post(s.URL+path, "application/json", strings.NewReader(chatBody("api_key", keyAlpha, "question", "[[cut]]")))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s ends with %v", path, err)
			}
			if len(got) == 0 || strings.HasSuffix(string(got), "\n") {
				t.Errorf("%s does not end inside an event: %q", path, got)
			}
		}
	})
}

func TestClientDisconnects(t *testing.T) {
	for name, c := range map[string]struct {
		question string
		headers  bool // the headers arrive before the silence
	}{
		"before the headers":          {"[[wait=600]]", false},
		"in the middle of the stream": {"[[gap=600]]", true},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := startBackend(t, false)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "POST", s.URL+"/stream", strings.NewReader(chatBody("api_key", keyAlpha, "question", c.question)))
			req.Header.Set("Content-Type", "application/json")
			if c.headers {
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
			} else {
				go func() { _, _ = http.DefaultTransport.RoundTrip(req) }()
			}
			waitFor(t, "the stream is open", func() bool { return b.OpenStreams() == 1 })
			cancel()
			waitFor(t, "the backend noticed", func() bool {
				calls := b.Calls()
				return b.OpenStreams() == 0 && len(calls) == 1 && calls[0].Canceled
			})
		})
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestRecorderLimit(t *testing.T) {
	b := New(Options{})
	for i := range maxRecorded + 5 {
		b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/%d", i), nil))
	}
	calls := b.Calls()
	if len(calls) != maxRecorded || calls[0].Path != "/5" || calls[maxRecorded-1].Path != fmt.Sprintf("/%d", maxRecorded+4) {
		t.Errorf("%d calls from %s to %s", len(calls), calls[0].Path, calls[len(calls)-1].Path)
	}
	b.Reset()
	if len(b.Calls()) != 0 {
		t.Error("Reset did not delete the calls")
	}
}

func TestDumps(t *testing.T) {
	v := object{{"b", []any{nil, true, 1, json.Number("1.50")}}, {"a", fields{"z": "é\x7f\u2028\"\\\n\x01", "y": 2.5}}, {"c", object{}}}
	for _, c := range []struct {
		d    dialect
		want string
	}{
		{spaced, `{"b": [null, true, 1, 1.50], "a": {"y": 2.5, "z": "\u00e9` + "\x7f" + `\u2028\"\\\n\u0001"}, "c": {}}`},
		{compact, `{"a":{"y":2.5,"z":"\u00e9` + "\x7f" + `\u2028\"\\\n\u0001"},"b":[null,true,1,1.50],"c":{}}`},
	} {
		if got := string(c.d.dumps(v)); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
