package backend

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

// start serves a backend with two sources. open: as with AUTH_TYPE unset.
func start(t *testing.T, open bool) (*Backend, *httptest.Server) {
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

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request. headers are name, value pairs; a body gets application/json unless they say otherwise.
func send(t *testing.T, method, url, body string, headers ...string) reply {
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
	return reply{resp.StatusCode, resp.Header, string(got)}
}

// q is a body of /stream and /api/answer: members as name, value pairs besides the question.
func q(members ...any) string {
	body := map[string]any{"question": "How?", "history": "[]"}
	for i := 0; i < len(members); i += 2 {
		body[members[i].(string)] = members[i+1]
	}
	data, _ := json.Marshal(body)
	return string(data)
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// events gives the decoded data of each event.
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

func TestStreamOnTheWire(t *testing.T) {
	_, s := start(t, false)
	body := q("api_key", keyAlpha, "question", "Où est-il 🦕?")
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
		t.Errorf("begins with %.80q", stream)
	}
	if !strings.HasSuffix(stream, "\n"+`data: {"type": "end"}`+"\n\n") {
		t.Errorf("ends with %q", stream[len(stream)-80:])
	}
	for i, frame := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		if !strings.HasPrefix(frame, fmt.Sprintf("id: %d\ndata: {\"type\": \"", i)) {
			t.Errorf("event %d is %q", i, frame)
		}
	}
	if !strings.Contains(stream, `O\u00f9`) || !strings.Contains(stream, `\ud83e\udd95`) {
		t.Error("text is not ASCII-escaped as json.dumps does it")
	}
	var said string
	var order []string
	for _, e := range events(t, stream) {
		kind := e["type"].(string)
		if piece, is := e["answer"].(string); is {
			said += piece
		}
		if len(order) == 0 || order[len(order)-1] != kind {
			order = append(order, kind)
		}
	}
	if got := strings.Join(order, " "); got != "message_id answer source tool_calls id end" {
		t.Errorf("order of events: %s", got)
	}
	line, _, _ := strings.Cut(said, "\n")
	if want := `stub answer: source=alpha.md (` + alpha + `) turns=1 asked="Où est-il 🦕?"`; line != want {
		t.Errorf("said %s\nwant %s", line, want)
	}
}

// what each kind of request to /stream and /api/answer is answered with; in both modes unless a case names one.
func TestWhoIsAnsweredFromWhat(t *testing.T) {
	const (
		fromAlpha = "source=alpha.md (" + alpha + ") "
		fromBeta  = "source=beta.md (" + beta + ") "
		fromNone  = "source=none "
		noKey     = "Unauthorized"
	)
	notAllowed := func(sentence string) string {
		return `{"error":"resource_not_allowed","message":"` + sentence + `","success":false}`
	}
	otherSource := notAllowed("Token is not allowed to use one of the referenced sources")
	cases := []struct {
		name         string
		mode         string // "open", "oidc" or "" for both
		body         string
		auth         []string
		stream       int // status of /stream
		answer       int // status of /api/answer
		says         string
		streamSays   string // if it differs
		answerNoText bool   // the sentence is only looked for on /stream
	}{
		{name: "key", body: q("api_key", keyAlpha), stream: 200, answer: 200, says: fromAlpha},
		{name: "key in upper case", body: q("api_key", strings.ToUpper(keyAlpha)), stream: 200, answer: 200, says: fromAlpha},
		{name: "key of two sources", body: q("api_key", keyBoth), stream: 200, answer: 200, says: "source=alpha.md (" + alpha + "), beta.md (" + beta + ") "},
		{name: "a key wins over active_docs", body: q("api_key", keyAlpha, "active_docs", beta), stream: 200, answer: 200, says: fromAlpha},
		{name: "a key wins over a list", body: q("api_key", keyAlpha, "active_docs", []string{beta}, "isNoneDoc", true, "chunks", 0), stream: 200, answer: 200, says: fromAlpha},
		{name: "widening members are told", body: q("api_key", keyAlpha, "llm_params", map[string]any{"model": "x"}, "client_tools", []any{}), stream: 200, answer: 200, says: " live=client_tools,llm_params asked="},
		{name: "bad key", body: q("api_key", "nope"), stream: 400, answer: 500, says: sayUnknown, answerNoText: true},
		{name: "key as an object", body: q("api_key", map[string]any{"$ne": nil}), stream: 400, answer: 500, says: sayUnknown, answerNoText: true},
		{name: "key as a list", body: q("api_key", []string{keyAlpha}), stream: 400, answer: 500, says: sayUnknown, answerNoText: true},
		{name: "key padded", body: q("api_key", " "+keyAlpha), stream: 400, answer: 500, says: sayUnknown, answerNoText: true},
		{name: "agent id beside a key", body: q("api_key", keyAlpha, "agent_id", "x"), stream: 400, answer: 500, says: sayUnknown, answerNoText: true},
		{name: "the last of two keys counts", body: `{"question":"How?","api_key":"` + keyAlpha + `","api_key":"` + keyBeta + `"}`, stream: 200, answer: 200, says: fromBeta},
		{name: "names are compared exactly", mode: "oidc", body: q("API_KEY", keyAlpha), stream: 401, answer: 401, says: noKey},
		{name: "escaped name", body: `{"question":"How?","api\u005fkey":"` + keyAlpha + `"}`, stream: 200, answer: 200, says: fromAlpha},

		{name: "no credential, oidc", mode: "oidc", body: q("active_docs", beta), stream: 401, answer: 401, says: noKey},
		{name: "no credential, open: the owner", mode: "open", body: q("active_docs", beta), stream: 200, answer: 200, says: fromBeta},
		{name: "list of sources", mode: "open", body: q("active_docs", []string{beta, "", "nope", alpha}), stream: 200, answer: 200, says: "source=beta.md (" + beta + "), alpha.md (" + alpha + ") "},
		{name: "source in upper case is not found", mode: "open", body: q("active_docs", strings.ToUpper(beta)), stream: 200, answer: 200, says: fromNone},
		{name: "unknown source", mode: "open", body: q("active_docs", "default"), stream: 200, answer: 200, says: fromNone},
		{name: "retrieval off", mode: "open", body: q("active_docs", beta, "isNoneDoc", true), stream: 200, answer: 200, says: fromNone},
		{name: "no chunks", mode: "open", body: q("active_docs", beta, "chunks", 0), stream: 200, answer: 200, says: fromNone},
		{name: "falsy key counts as absent", mode: "oidc", body: q("api_key", ""), stream: 401, answer: 401, says: noKey},
		{name: "null key, open", mode: "open", body: q("api_key", nil, "active_docs", beta), stream: 200, answer: 200, says: fromBeta},
		{name: "zero key, open", mode: "open", body: q("api_key", 0, "active_docs", beta), stream: 200, answer: 200, says: fromBeta},
		{name: "empty list as key, open", mode: "open", body: q("api_key", []any{}, "active_docs", beta), stream: 200, answer: 200, says: fromBeta},
		{name: "key as Bearer, open: ignored", mode: "open", body: q("active_docs", beta), auth: bearer(keyAlpha), stream: 200, answer: 200, says: fromBeta},
		{name: "key as Bearer, oidc", mode: "oidc", body: q(), auth: bearer(keyAlpha), stream: 401, answer: 401, says: "invalid_token"},
		{name: "other Bearer beside a good key, oidc", mode: "oidc", body: q("api_key", keyAlpha), auth: bearer("x"), stream: 401, answer: 401, says: "invalid_token"},
		{name: "other Bearer beside a good key, open", mode: "open", body: q("api_key", keyAlpha), auth: bearer("x"), stream: 200, answer: 200, says: fromAlpha},
		{name: "bad access token beside a good key", body: q("api_key", keyAlpha), auth: bearer(tokenAlpha + "x"), stream: 401, answer: 401, says: "invalid_token"},

		{name: "confined token", body: q("active_docs", alpha), auth: bearer(tokenAlpha), stream: 200, answer: 200, says: fromAlpha},
		{name: "bare token", body: q("active_docs", alpha), auth: []string{"Authorization", tokenAlpha}, stream: 200, answer: 200, says: fromAlpha},
		{name: "scheme in lower case", body: q("active_docs", alpha), auth: []string{"Authorization", "bearer  " + tokenAlpha}, stream: 200, answer: 200, says: fromAlpha},
		{name: "confined token, list with a blank", body: q("active_docs", []string{alpha, ""}, "api_key", ""), auth: bearer(tokenAlpha), stream: 200, answer: 200, says: fromAlpha},
		{name: "confined token, other source", body: q("active_docs", beta), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "confined token, one of two", body: q("active_docs", []string{alpha, beta}), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "confined token, default", body: q("active_docs", "default"), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "confined token, object", body: q("active_docs", map[string]string{"id": beta}), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "confined token, own source in an object", body: q("active_docs", map[string]string{"id": alpha}), auth: bearer(tokenAlpha), stream: 200, answer: 200, says: fromNone},
		{name: "confined token, JSON text", body: q("active_docs", `["`+beta+`"]`), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "confined token, nested", body: q("active_docs", [][]string{{beta}}), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "confined token, number", body: q("active_docs", 0), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "confined token, upper case", body: q("active_docs", strings.ToUpper(alpha)), auth: bearer(tokenAlpha), stream: 200, answer: 200, says: fromNone},
		{name: "confined token, nothing named", body: q(), auth: bearer(tokenAlpha), stream: 200, answer: 200, says: fromNone},
		{name: "confined token with a key", body: q("api_key", keyAlpha), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: notAllowed("A restricted token cannot chat with an agent API key; pass agent_id")},
		{name: "confined token with an agent", body: q("agent_id", "x"), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: notAllowed("This token is restricted to specific sources and cannot run agents")},
		{name: "confined token with a workflow", body: q("workflow", map[string]any{"a": 1}), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: notAllowed("A restricted token cannot run an inline workflow")},
		{name: "confined token, unknown conversation", body: q("conversation_id", "nope"), auth: bearer(tokenAlpha), stream: 403, answer: 403, says: notAllowed("This conversation does not belong to the agent this token may use")},
		{name: "the check of a token comes before the missing question", body: `{"active_docs":"` + beta + `"}`, auth: bearer(tokenAlpha), stream: 403, answer: 403, says: otherSource},
		{name: "free token", body: q("active_docs", beta), auth: bearer(tokenAll), stream: 200, answer: 200, says: fromBeta},
		{name: "free token with a key: the key decides", body: q("api_key", keyAlpha, "active_docs", beta), auth: bearer(tokenAll), stream: 200, answer: 200, says: fromAlpha},

		{name: "no question", body: `{}`, stream: 400, answer: 400, says: `{"message":"Missing required fields: question","success":false}` + "\n"},
		{name: "index alone", body: q("api_key", keyAlpha, "index", 0), stream: 400, answer: 400, says: `Missing required fields: conversation_id"`},
		{name: "history as an array", body: q("api_key", keyAlpha, "history", []any{}), stream: 400, answer: 500, says: sayUnknown, answerNoText: true},
		{name: "history that is no JSON", body: q("api_key", keyAlpha, "history", "x"), stream: 400, answer: 500, says: sayMalformed, answerNoText: true},
		{name: "history as null text", body: q("api_key", keyAlpha, "history", "null"), stream: 200, answer: 200, says: fromAlpha},
		{name: "history counts finished turns", body: q("api_key", keyAlpha, "history", `[{"prompt":"a","response":"b"},{"prompt":"How?"}]`), stream: 200, answer: 200, says: " turns=2 "},
		{name: "unknown conversation", body: q("api_key", keyAlpha, "conversation_id", "None"), stream: 400, answer: 500, says: sayMalformed, answerNoText: true},
		{name: "a number as question", body: q("api_key", keyAlpha, "question", 1), stream: 200, answer: 400, says: sayLater},
		{name: "null as body", body: "null", stream: 500, answer: 500, says: `{"message": "Internal Server Error"}` + "\n"},
		{name: "no JSON", body: "{bad", stream: 400, answer: 400, says: `{"message": "` + sayRestBody + `"}` + "\n"},
		{name: "two documents", body: "{}{}", stream: 400, answer: 400, says: sayRestBody},
		{name: "no UTF-8", body: "{\"question\":\"\xff\"}", stream: 400, answer: 400, says: sayRestBody},
		{name: "UTF-16 without a mark", body: inUTF16(q("api_key", keyAlpha)), stream: 200, answer: 200, says: fromAlpha},
		{name: "UTF-8 with a mark", body: "\ufeff" + q("api_key", keyAlpha), stream: 200, answer: 200, says: fromAlpha},
	}
	for _, mode := range []string{"oidc", "open"} {
		_, s := start(t, mode == "open")
		for _, c := range cases {
			if c.mode != "" && c.mode != mode {
				continue
			}
			t.Run(mode+"/"+c.name, func(t *testing.T) {
				got := send(t, "POST", s.URL+"/stream", c.body, c.auth...)
				if said := unescaped(t, got); got.status != c.stream || !strings.Contains(said, c.says) {
					t.Errorf("/stream: %d %s\nwant %d %s", got.status, said, c.stream, c.says)
				}
				got = send(t, "POST", s.URL+"/api/answer", c.body, c.auth...)
				if said := unescaped(t, got); got.status != c.answer || !c.answerNoText && !strings.Contains(said, c.says) {
					t.Errorf("/api/answer: %d %s\nwant %d %s", got.status, said, c.answer, c.says)
				}
			})
		}
	}
}

// unescaped is what an answer says; of other replies the body as it is.
func unescaped(t *testing.T, r reply) string {
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
	said := ""
	for _, e := range events(t, r.body) {
		if piece, is := e["answer"].(string); is {
			said += piece
		}
		if sentence, is := e["error"].(string); is {
			said += sentence
		}
	}
	return said
}

func inUTF16(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func TestBodyAndPath(t *testing.T) {
	b, s := start(t, false)
	good := q("api_key", keyAlpha)
	cases := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		contains                 string
	}{
		{"charset is not looked at", "POST", "/stream", good, []string{"Content-Type", "APPLICATION/JSON; charset=utf-16"}, 200, "data: "},
		{"vendor type", "POST", "/stream", good, []string{"Content-Type", "application/vnd.x+json"}, 200, "data: "},
		{"text", "POST", "/stream", good, []string{"Content-Type", "text/plain"}, 415, `{"message": "` + sayContentType + `"}`},
		{"form", "POST", "/api/search", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, sayContentType},
		{"list of types", "POST", "/stream", good, []string{"Content-Type", "application/json, application/json"}, 415, sayContentType},
		{"text on v1 is HTML", "POST", "/v1/chat/completions", "{}", []string{"Content-Type", "text/plain", "Authorization", "Bearer " + keyAlpha}, 415, "<h1>Unsupported Media Type</h1>"},
		{"no JSON on v1 is HTML", "POST", "/v1/chat/completions", "{bad", bearer(keyAlpha), 400, "<title>400 Bad Request</title>"},
		{"two slashes", "POST", "//stream", good, nil, 200, "data: "},
		{"escaped slash", "POST", "/%2Fstream", good, nil, 200, "data: "},
		{"escaped letter", "POST", "/%73tream", good, nil, 200, "data: "},
		{"escaped slash inside", "POST", "/api%2Fanswer", good, nil, 200, "stub answer"},
		{"slash at the end", "POST", "/stream/", good, nil, 404, "<h1>Not Found</h1>"},
		{"other case", "POST", "/Stream", good, nil, 404, "<h1>Not Found</h1>"},
		{"slashes inside", "POST", "/api//answer", good, nil, 308, "Redirecting"},
		{"method", "GET", "/stream", "", nil, 405, `{"message": "` + sayMethod + `"}`},
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
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(body), sayRestBody) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		calls := b.Calls()
		if len(calls) != 1 {
			t.Fatalf("%d calls", len(calls))
		}
		call := calls[0]
		if call.Method != "POST" || call.Path != "/stream" || call.RawQuery != "x=1" || string(call.Body) != good ||
			call.ContentLength != -1 || len(call.TransferEncoding) != 1 || call.RemoteAddr == "" || call.Cancelled ||
			call.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v", call)
		}
	})
}

func TestPreflight(t *testing.T) {
	_, s := start(t, false)
	ask := func(headers string) reply {
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
		t.Errorf("no preflight: %d %q", got.status, got.body)
	}
}

func TestConversation(t *testing.T) {
	_, s := start(t, false)
	ask := func(path string, members ...any) map[string]any {
		t.Helper()
		got := send(t, "POST", s.URL+path, q(members...))
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
	// all agents belong to one owner, so another key may go on with it, and even take turns back
	third := ask("/api/answer", "api_key", keyBeta, "conversation_id", id, "index", 0)
	if said := third["answer"].(string); !strings.Contains(said, "turns=1 live=index ") || !strings.Contains(said, "beta.md") {
		t.Errorf("question with another key: %v", said)
	}
	if gone := ask("/api/answer", "api_key", keyAlpha, "persist", false); gone["conversation_id"] != "None" {
		t.Errorf("kept: %v", gone["conversation_id"])
	}
	unkept := send(t, "POST", s.URL+"/stream", q("api_key", keyAlpha, "persist", false)).body
	if strings.Contains(unkept, "id: 0") || strings.Contains(unkept, "message_id") ||
		!strings.Contains(unkept, `{"type": "id", "id": "None"}`) {
		t.Errorf("unkept stream: %s", unkept)
	}

	feedback := func(key, conversation string, index any) reply {
		data, _ := json.Marshal(map[string]any{
			"feedback": "LIKE", "question": "q", "answer": "a", "api_key": key,
			"conversation_id": conversation, "question_index": index,
		})
		return send(t, "POST", s.URL+"/api/feedback", string(data))
	}
	for _, c := range []struct {
		name   string
		got    reply
		status int
		body   string
	}{
		{"own conversation", feedback(keyAlpha, id, 0), 200, `{"success":true}`},
		{"key in upper case", feedback(strings.ToUpper(keyAlpha), id, 0), 404, `{"message":"Not found","success":false}`},
		{"other key", feedback(keyBeta, id, 0), 404, "Not found"},
		{"bad key", feedback("nope", id, 0), 401, `{"success":false}`},
		{"unknown conversation", feedback(keyAlpha, "None", 0), 404, "Not found"},
		{"index that is text", feedback(keyAlpha, id, "x"), 500, sayInternal},
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
	_, s := start(t, false)
	for _, c := range []struct {
		name, path, body string
		auth             []string
		status           int
		contains         string
	}{
		{"one source", "/api/search", q("api_key", keyBeta, "active_docs", alpha), nil, 200, `[{"source":"beta.md","text":"# beta.md\n`},
		{"two sources", "/api/search", q("api_key", keyBoth), nil, 200, `"title":"beta.md"}]`},
		{"no question", "/api/search", `{}`, nil, 400, `{"error":"question is required"}`},
		{"no key", "/api/search", q(), nil, 400, `{"error":"api_key is required"}`},
		{"bad key", "/api/search", q("api_key", "nope"), nil, 401, `{"error":"Invalid API key"}`},
		{"key as an object", "/api/search", q("api_key", map[string]any{"a": 1}), nil, 500, `{"error":"Search failed"}`},
		{"no chunks: the key is not looked at", "/api/search", q("api_key", "nope", "chunks", 0), nil, 200, "[]\n"},
		{"chunks as text", "/api/search", q("api_key", keyAlpha, "chunks", "2"), nil, 500, sayInternal},
		{"confined token", "/api/search", q("api_key", keyAlpha), bearer(tokenAlpha), 403, "resource_not_allowed"},
		{"free token", "/api/search", q("api_key", keyAlpha), bearer(tokenAll), 200, "alpha.md"},
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
	_, s := start(t, true)
	const path = "/v1/chat/completions"
	asks := `{"model":"x","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"How?"}]}]`
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		contains                 string
	}{
		{"answer", "POST", path, asks + `,"api_key":"` + keyBeta + `","active_docs":"` + beta + `"}`, bearer(keyAlpha), 200, `"content":"stub answer: source=alpha.md (` + alpha + `) turns=1 asked=\"How?\"`},
		{"upper case, blank at the end", "POST", path, asks + "}", bearer(strings.ToUpper(keyAlpha) + " "), 200, "alpha.md"},
		{"two turns", "POST", path, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`, bearer(keyAlpha), 200, `turns=2 asked=\"c\"`},
		{"ends in the answer of a tool", "POST", path, `{"messages":[{"role":"user","content":"a"},{"role":"tool","content":"b"}]}`, bearer(keyAlpha), 200, `source=none`},
		{"no header", "POST", path, asks + "}", nil, 401, `{"error":{"message":"Missing Authorization header","type":"auth_error"}}`},
		{"scheme in lower case", "POST", path, asks + "}", []string{"Authorization", "bearer " + keyAlpha}, 401, "Missing Authorization header"},
		{"bare key", "POST", path, asks + "}", []string{"Authorization", keyAlpha}, 401, "Missing Authorization header"},
		{"bad key", "POST", path, asks + "}", bearer("nope"), 401, `{"error":{"message":"Invalid API key","type":"auth_error"}}`},
		{"access token", "POST", path, asks + "}", bearer(tokenAll), 401, "Invalid API key"},
		{"no messages, before the key", "POST", path, `{}`, bearer("nope"), 400, `{"error":{"message":"messages field is required","type":"invalid_request"}}`},
		{"messages as text", "POST", path, `{"messages":"x"}`, bearer(keyAlpha), 400, "Failed to process request"},
		{"a list as body", "POST", path, `[1]`, bearer(keyAlpha), 500, "<h1>Internal Server Error</h1>"},
		{"foreign conversation", "POST", path, asks + `,"conversation_id":"nope"}`, bearer(keyAlpha), 400, `"code":"conversation_not_found"`},
		{"models", "GET", "/v1/models", "", bearer(keyAlpha), 200, `"name":"alpha.md","object":"model","owned_by":"docsgpt"}],"object":"list"}`},
		{"models, bad key", "GET", "/v1/models", "", bearer("nope"), 401, "Invalid API key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := send(t, c.method, s.URL+c.path, c.body, c.headers...); got.status != c.status || !strings.Contains(got.body, c.contains) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	t.Run("a session joins, per agent", func(t *testing.T) {
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
	t.Run("an idempotency key replays another body", func(t *testing.T) {
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
		got := send(t, "POST", s.URL+path, asks+`,"stream":true,"stream_options":{"include_usage":true}}`, bearer(keyAlpha)...)
		if got.header.Get("Cache-Control") != "no-cache" || got.header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("headers %v", got.header)
		}
		if strings.Contains(got.body, "id: 0\n") || !strings.HasSuffix(got.body, "\n\ndata: [DONE]\n\n") {
			t.Errorf("stream %s", got.body)
		}
		said, finish, cost := "", "", false
		for _, e := range events(t, got.body) {
			if e["object"] != "chat.completion.chunk" {
				t.Errorf("event %v", e)
			}
			_, hasUsage := e["usage"]
			cost = cost || hasUsage
			for _, choice := range e["choices"].([]any) {
				c := choice.(map[string]any)
				piece, _ := c["delta"].(map[string]any)["content"].(string)
				said += piece
				if reason, is := c["finish_reason"].(string); is {
					finish = reason
				}
			}
		}
		if !strings.HasPrefix(said, "stub answer: source=alpha.md") || finish != "stop" || !cost {
			t.Errorf("said %q, finish %q, cost %t", said, finish, cost)
		}
	})
}

func TestSwitches(t *testing.T) {
	_, s := start(t, false)
	ask := func(switches string) reply {
		return send(t, "POST", s.URL+"/stream", q("api_key", keyAlpha, "question", switches))
	}
	for _, c := range []struct {
		name, switches string
		status         int
		contains, not  string
	}{
		{"limit", "[[fail=429]]", 429, `{"message":"Exceeding usage limit, please try again later.","success":false}`, "data:"},
		{"quota", "[[fail=quota429]]", 429, `"error_code":"quota-exceeded"`, "data:"},
		{"origin", "[[fail=403]]", 403, `{"message":"This origin is not allowed to use this agent's API key.","success":false}`, "data:"},
		{"unavailable", "[[fail=503]]", 503, `Could not check this request's origin`, "data:"},
		{"internal", "[[fail=500]]", 500, `{"message": "Internal Server Error"}`, "data:"},
		{"like a bad key", "[[fail=400]]", 400, `data: {"type": "error", "error": "Unknown error occurred"}`, "id: "},
		{"like no key", "[[fail=401]]", 401, `data: {"type": "error", "error": "Unauthorized"}`, "id: "},
		{"event", "[[errorevent]]", 200, `id: 1` + "\n" + `data: {"type": "error", "error": "` + sayLater + `", "code": "server_error"}`, `"end"`},
		{"plain JSON", "[[plainjson]]", 200, `{"error":"The answer could not be made.","success":false}`, "data:"},
		{"comments", "[[keepalive]]", 200, "\n\n: keepalive\n\nid: 1\n", "xyz"},
		{"no end", "[[noend]]", 200, `{"type": "id"`, `{"type": "end"}`},
		{"words", "[[words=30]]", 200, `"answer": " word30"`, "word31"},
		{"big", "[[big=70000]]", 200, strings.Repeat("x", 70000), strings.Repeat("x", 70001)},
		{"raw characters", "[[unicode]]", 200, `{"type": "answer", "answer": "東京 "}`, `\u`},
		{"split", "[[split]] [[unicode]]", 200, `{"type": "answer", "answer": "東京 "}`, `\u`},
		{"the first in order counts", "[[errorevent]] [[fail=429]]", 429, `"success":false`, "data:"},
		{"no switch", "[[fail=200]] [[nope=1]] [[fail]]", 200, `{"type": "end"}`, "xyz"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(c.switches)
			if got.status != c.status || !strings.Contains(got.body, c.contains) || strings.Contains(got.body, c.not) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if c.switches == "[[fail=quota429]]" && got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	t.Run("other endpoints", func(t *testing.T) {
		v1 := func(question string, stream bool) reply {
			return send(t, "POST", s.URL+"/v1/chat/completions", fmt.Sprintf(
				`{"stream":%t,"messages":[{"role":"user","content":"%s"}]}`, stream, question), bearer(keyAlpha)...)
		}
		for name, c := range map[string]struct {
			got      reply
			status   int
			contains string
		}{
			"v1 limit":          {v1("[[fail=429]]", false), 429, `{"message":"Exceeding usage limit`},
			"v1 origin":         {v1("[[fail=403]]", true), 403, `"type":"permission_error"`},
			"v1 unavailable":    {v1("[[fail=503]]", false), 503, `"type":"server_error"`},
			"v1 like a bad key": {v1("[[fail=401]]", false), 401, `{"error":{"message":"Invalid API key","type":"auth_error"}}`},
			"v1 model":          {v1("[[errorevent]]", false), 500, `{"error":{"message":"` + sayLater + `","type":"server_error"}}`},
			"v1 model, stream":  {v1("[[errorevent]]", true), 200, `data: {"error": {"message": "` + sayLater},
			"answer, model": {
				send(t, "POST", s.URL+"/api/answer", q("api_key", keyAlpha, "question", "[[errorevent]]")), 400,
				`{"code":"server_error","error":"` + sayLater + `"}`,
			},
			"answer, internal": {
				send(t, "POST", s.URL+"/api/answer", q("api_key", keyAlpha, "question", "[[fail=500]]")), 500,
				`{"error":"An error occurred processing your request"}`,
			},
			"search": {
				send(t, "POST", s.URL+"/api/search", q("api_key", keyAlpha, "question", "[[fail=500]]")), 500,
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
			resp, err := http.Post(s.URL+path, "application/json", strings.NewReader(q("api_key", keyAlpha, "question", "[[cut]]")))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s ends with %v", path, err)
			}
			if len(got) == 0 || strings.HasSuffix(string(got), "\n") {
				t.Errorf("%s is not cut inside an event: %q", path, got)
			}
		}
	})
}

func TestClientGoesAway(t *testing.T) {
	for name, c := range map[string]struct {
		question string
		headers  bool // they arrive before the silence
	}{
		"while it waits for the headers": {"[[wait=600]]", false},
		"in the middle of the stream":    {"[[gap=600]]", true},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := start(t, false)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "POST", s.URL+"/stream", strings.NewReader(q("api_key", keyAlpha, "question", c.question)))
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
			until(t, "the stream is open", func() bool { return b.OpenStreams() == 1 })
			cancel()
			until(t, "the backend noticed", func() bool {
				calls := b.Calls()
				return b.OpenStreams() == 0 && len(calls) == 1 && calls[0].Cancelled
			})
		})
	}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not seen in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestRecorderKeepsTheLast(t *testing.T) {
	b := New(Options{})
	for i := range keptCalls + 5 {
		b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/%d", i), nil))
	}
	calls := b.Calls()
	if len(calls) != keptCalls || calls[0].Path != "/5" || calls[keptCalls-1].Path != fmt.Sprintf("/%d", keptCalls+4) {
		t.Errorf("%d calls from %s to %s", len(calls), calls[0].Path, calls[len(calls)-1].Path)
	}
	b.Reset()
	if len(b.Calls()) != 0 {
		t.Error("not forgotten")
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
