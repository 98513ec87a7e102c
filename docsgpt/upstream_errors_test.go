package docsgpt

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestMapError(t *testing.T) {
	const limit = `{"message":"Exceeding usage limit, please try again later.","success":false}`
	for name, c := range map[string]struct {
		endpoint   string
		status     int
		header     http.Header
		body       string
		wantStatus int
		wantCode   string
	}{
		"a bad key on /stream":          {"stream", 400, nil, "data: {\"type\": \"error\", \"error\": \"Unknown error occurred\"}\n\n", 502, CodeUpstreamRefused},
		"a bad key on /v1":              {"completions", 401, nil, `{"error":{"message":"Invalid API key","type":"auth_error"}}`, 502, CodeUpstreamRefused},
		"a bad access token":            {"stream", 401, nil, `{"message":"Authentication error: invalid token","error":"invalid_token"}`, 502, CodeUpstreamRefused},
		"a confined token":              {"answer", 403, nil, `{"error":"resource_not_allowed","message":"Token is not allowed to use one of the referenced sources"}`, 502, CodeUpstreamRefused},
		"the agent's limit":             {"stream", 429, nil, limit, 429, CodeUpstreamLimit},
		"its origins":                   {"stream", 403, nil, `{"success":false,"message":"This origin is not allowed to use this agent's API key."}`, 403, "origin_not_allowed"},
		"its origins on /v1":            {"completions", 403, nil, `{"error":{"message":"This origin is not allowed to use this agent's API key.","type":"permission_error"}}`, 403, "origin_not_allowed"},
		"a bad request on /v1":          {"completions", 400, nil, `{"error":{"message":"n must be 1","type":"invalid_request_error"}}`, 400, "bad_request"},
		"too long for the model":        {"completions", 400, nil, `{"error":{"message":"...","type":"invalid_request_error","code":"context_length_exceeded"}}`, 400, "context_length_exceeded"},
		"an HTML page":                  {"completions", 400, nil, "<!doctype html>", 502, CodeUpstreamRefused},
		"a model's failure":             {"answer", 400, nil, `{"code":"server_error","error":"Please try again later."}`, 502, CodeUpstreamRefused},
		"a failure":                     {"stream", 500, nil, `{"message": "Internal Server Error"}`, 502, CodeUpstreamError},
		"maintenance":                   {"search", 503, nil, "", 503, CodeUpstreamError},
		"a gateway's timeout":           {"search", 504, nil, "", 504, CodeUpstreamTimeout},
		"another web server":            {"stream", 404, nil, "<html>", 502, CodeUpstreamError},
		"a redirect":                    {"stream", 308, nil, "", 502, CodeUpstreamError},
		"feedback on nothing":           {"feedback", 404, nil, `{"message":"Not found","success":false}`, 404, "conversation_not_found"},
		"a busy conversation":           {"stream", 409, nil, `data: {"type":"error","error":"x"}`, 409, "conflict"},
		"a success that is no stream":   {"stream", 200, nil, `{"error":"Unauthorized"}`, 502, CodeUpstreamError},
		"too large for what is between": {"stream", 413, nil, "", 413, "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := MapError(endpoint(t, "", c.endpoint), c.status, c.header, []byte(c.body))
			if r.Status != c.wantStatus || r.Code != c.wantCode {
				t.Errorf("got %d %s, want %d %s", r.Status, r.Code, c.wantStatus, c.wantCode)
			}
			if !strings.HasSuffix(r.Message, ".") {
				t.Errorf("no sentence: %q", r.Message)
			}
		})
	}
}

func TestMapErrorKeepsRetryHints(t *testing.T) {
	header := http.Header{"Retry-After": {"682702"}, "X-Should-Retry": {"false"}}
	r := MapError(endpoint(t, "", "stream"), 429, header, []byte(`{"message":"Usage quota reached (164 of 1 tokens)."}`))
	if r.RetryAfter != "682702" || !r.Permanent {
		t.Errorf("got %+v", r)
	}
	if strings.Contains(r.Message, "164") {
		t.Error("the account's figures are passed on")
	}
}

func TestErrorFormats(t *testing.T) {
	r := &Error{Status: 401, Code: "invalid_api_key", Message: "It's \"bad\"\n<b>."}
	event := string(FormatEvent.AppendError(nil, r, "id-1"))
	data, ok := strings.CutPrefix(event, "data: ")
	if !ok || strings.Count(event, "\n") != 2 || !strings.HasSuffix(event, "\n\n") {
		t.Errorf("not one event of one line: %q", event)
	}
	for name, c := range map[string]struct {
		text string
		want map[string]any
	}{
		"event": {data, map[string]any{"type": "error", "error": r.Message, "code": r.Code, "request_id": "id-1"}},
		"json": {
			string(FormatJSON.AppendError(nil, r, "id-1")),
			map[string]any{"error": r.Message, "message": r.Message, "code": r.Code, "request_id": "id-1"},
		},
		"openai": {
			string(FormatOpenAI.AppendError(nil, r, "id-1")),
			map[string]any{"error": map[string]any{
				"message": r.Message, "type": "authentication_error", "param": nil, "code": r.Code, "request_id": "id-1",
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]any
			if err := json.Unmarshal([]byte(c.text), &got); err != nil {
				t.Fatalf("%v: %q", err, c.text)
			}
			a, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if string(a) != string(b) {
				t.Errorf("got %s, want %s", a, b)
			}
		})
	}
}

func TestAppendStreamError(t *testing.T) {
	r := Truncated()
	for _, format := range []ErrorFormat{FormatEvent, FormatOpenAI} {
		event := string(format.AppendStreamError(nil, r, "id"))
		if !strings.HasPrefix(event, "data: {") || !strings.HasSuffix(event, "\n\n") || strings.Count(event, "data:") != 1 {
			t.Errorf("format %d: %q", format, event)
		}
	}
}

func TestBearerToken(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc ": "abc",
		"abc": "", "Bearer": "", "Bearer ": "", "Basic abc": "", "Bearer a b": "", "Bearer a, Bearer b": "", "Token abc": "", "": "",
	} {
		if got, _ := BearerToken(http.Header{"Authorization": {header}}); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
	if _, ok := BearerToken(http.Header{"Authorization": {"Bearer a", "Bearer a"}}); ok {
		t.Error("two headers count as a token")
	}
	if _, ok := BearerToken(http.Header{}); ok {
		t.Error("a token without a header")
	}
}

func TestIsJSON(t *testing.T) {
	for value, want := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "APPLICATION/JSON": true,
		"application/vnd.x+json": true, " application/json ;x=y": true,
		"": false, "text/json": false, "text/plain": false, "application/x-www-form-urlencoded": false,
		"application/json, application/json": false, "application/jsonx": false, "application/": false,
		"multipart/form-data; boundary=application/json": false,
	} {
		if got := IsJSON(http.Header{"Content-Type": {value}}); got != want {
			t.Errorf("%q: got %v", value, got)
		}
	}
	if IsJSON(http.Header{"Content-Type": {"application/json", "application/json"}}) || IsJSON(http.Header{}) {
		t.Error("two headers, or none, count as JSON")
	}
}

func TestConversationOf(t *testing.T) {
	for body, want := range map[string]string{
		`{"answer":"x","conversation_id":"c","sources":[{"conversation_id":"no"}]}`: "c",
		`{"conversation_id":"None"}`: "", `{"conversation_id":null}`: "", `{}`: "", `[]`: "", ``: "", `{"conversation_id":"c"`: "",
	} {
		if got, same := ConversationOf([]byte(body), nil); got != want || string(same) != body {
			t.Errorf("%s: got %q", body, got)
		}
	}
}
