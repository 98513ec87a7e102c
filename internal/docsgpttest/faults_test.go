package docsgpttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

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
