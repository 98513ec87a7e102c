package caddymodule_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestValidKeyForwarded(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		for name, c := range map[string]struct{ path, token, want, not string }{
			"agent, answer":         {"/api/answer", tokenAgent, "alpha", "beta"},
			"agent, stream":         {"/stream", tokenAgent, "alpha", "beta"},
			"agent, leading slash":  {"//stream", tokenAgent, "alpha", "beta"},
			"agent, escaped path":   {"/%73tream", tokenAgent, "alpha", "beta"},
			"agent, search":         {"/api/search", tokenAgent, "alpha", "beta"},
			"source, answer":        {"/api/answer", tokenSource, "alpha", "beta"},
			"source, stream":        {"/stream", tokenSource, "alpha", "beta"},
			"several sources":       {"/stream", tokenMany, "alpha", ""},
			"several sources, both": {"/stream", tokenMany, "beta", ""},
		} {
			t.Run(name, func(t *testing.T) {
				r := g.ask(c.path, c.token, "reset", `,"active_docs":"`+sourceBeta+`","selectDocs":"`+sourceBeta+
					`","agent_id":"x","retriever":"brave_search","embeddings_key":"`+agentBeta+`"`)
				if r.status != http.StatusOK {
					t.Fatalf("%d %s", r.status, r.body)
				}
				if !strings.Contains(r.body, c.want) || c.not != "" && strings.Contains(r.body, c.not) {
					t.Errorf("not from %s alone: %s", c.want, r.body)
				}
				noSecrets(t, "the answer", r.body)
			})
		}
	})
}

// What DocsGPT gets is all the gate's own: one credential, the binding, known lengths, few headers.
func TestForwardedRequest(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		hostile := []string{
			"Authorization", "Bearer " + agentBeta, "Cookie", "session=1", "X-Internal-Key", "k", "X-Session-ID", "s",
			"X-DocsGPT-Session-ID", "s", "Idempotency-Key", "i", "X-Api-Key", tokenAgent, "X-Original-Url", "/api/upload",
			"Origin", "https://docs.example.com", "Referer", "https://docs.example.com/a", "X-Forwarded-For", "6.6.6.6",
			"X-Forwarded-Host", "evil",
		}
		body := `{"question":"q","history":"[]","api_key":"` + tokenAgent + `","active_docs":"` + sourceBeta + `"}`
		if r := g.send(http.MethodPost, "//stream?api_key="+agentBeta+"&active_docs=x", body, hostile...); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		call := g.last()
		if want := `{"question":"q","history":"[]","api_key":"` + agentAlpha + `"}`; string(call.Body) != want {
			t.Errorf("body: got %s, want %s", call.Body, want)
		}
		if call.Method != http.MethodPost || call.Path != "/stream" || call.RawQuery != "" {
			t.Errorf("got %s %s?%s", call.Method, call.Path, call.RawQuery)
		}
		if call.ContentLength != int64(len(call.Body)) || len(call.TransferEncoding) > 0 {
			t.Errorf("length %d, transfer encoding %v", call.ContentLength, call.TransferEncoding)
		}
		for name, want := range map[string]string{
			"Origin": "https://docs.example.com", "Referer": "https://docs.example.com/a", "Content-Type": "application/json",
			"Accept-Encoding": "identity", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
			"Authorization": "", "Cookie": "", "X-Internal-Key": "", "X-Session-Id": "", "X-Docsgpt-Session-Id": "",
			"Idempotency-Key": "", "X-Api-Key": "", "X-Original-Url": "",
		} {
			if got := call.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if got := call.Header.Get("X-Forwarded-Host"); got == "evil" || got == "" {
			t.Errorf("X-Forwarded-Host: got %q", got)
		}

		g.ask("/stream", tokenMany, "q", "")
		call = g.last()
		if want := `{"question":"q","history":"[]","active_docs":["` + sourceAlpha + `","` + sourceBeta + `"]}`; string(call.Body) != want {
			t.Errorf("source binding: got %s, want %s", call.Body, want)
		}
		if got := call.Header.Get("Authorization"); got != "Bearer "+access {
			t.Error("the source binding went without the gate's credential")
		}

		g.send(http.MethodGet, "/v1/models", "", "Authorization", "bearer "+tokenAgent)
		if call = g.last(); call.Header.Get("Authorization") != "Bearer "+agentAlpha || len(call.Body) > 0 {
			t.Errorf("models: %v, body %s", call.Header, call.Body)
		}
		g.send(http.MethodGet, "/api/health", "", "Authorization", "Bearer "+tokenAgent)
		if call = g.last(); call.Path != "/api/health" || call.Header.Get("Authorization") != "" {
			t.Errorf("health: %s %v", call.Path, call.Header)
		}
	})
}

func TestErrorResponses(t *testing.T) {
	bothWays(t, "max_body_size 1KiB", func(t *testing.T, g *gate) {
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
				checkShape(t, c.path, r, c.code)
				noSecrets(t, "the refusal", r.body+fmt.Sprint(r.header))
				if calls := g.backend.Calls(); len(calls) > 0 {
					t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
				}
			})
		}
		until(t, "the last request is logged", func() bool { return strings.Contains(g.logged(), "/api/create_api_key") })
	})
}

// checkShape tests that a refusal is in the form that the clients of that path can read.
func checkShape(t *testing.T, path string, r reply, code string) {
	t.Helper()
	if got := r.header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" {
		t.Errorf("Access-Control-Allow-Origin: %v", got)
	}
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
	bothWays(t, "", func(t *testing.T, g *gate) {
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

// An upstream's failure is told in the client's own form, whatever form DocsGPT gave it.
func TestUpstreamFailures(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		for name, c := range map[string]struct {
			token, question string
			status          int
			code            string
		}{
			"the agent key is not DocsGPT's": {tokenStale, "q", 502, "upstream_refused"},
			"its limit":                      {tokenAgent, "[[fail=429]]", 429, "upstream_limit"},
			"its account's quota":            {tokenAgent, "[[fail=quota429]]", 429, "upstream_limit"},
			"a failure":                      {tokenAgent, "[[fail=500]]", 502, "upstream_error"},
			"maintenance":                    {tokenAgent, "[[fail=503]]", 503, "upstream_error"},
			"a bad request of nobody":        {tokenAgent, "[[fail=400]]", 502, "upstream_refused"},
			"not authorised":                 {tokenAgent, "[[fail=401]]", 502, "upstream_refused"},
		} {
			t.Run(name, func(t *testing.T) {
				for _, path := range []string{"/stream", "/api/answer"} {
					if name == "the agent key is not DocsGPT's" && path == "/api/answer" {
						continue // 500 there, which says nothing
					}
					r := g.ask(path, c.token, c.question, "")
					if r.status != c.status {
						t.Errorf("%s: status %d, want %d: %s", path, r.status, c.status, r.body)
					}
					checkShape(t, path, r, c.code)
					if name == "its account's quota" && r.header.Get("Retry-After") == "" {
						t.Errorf("%s: no Retry-After", path)
					}
				}
			})
		}
		r := g.send(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"q"}]}`,
			"Authorization", "Bearer "+tokenStale)
		if r.status != http.StatusBadGateway {
			t.Errorf("/v1: status %d: %s", r.status, r.body)
		}
		checkShape(t, "/v1/chat/completions", r, "upstream_refused")
		// The key stays good, and the operator is told what is likely wrong.
		if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK {
			t.Errorf("after failures: %d %s", r.status, r.body)
		}
		if !strings.Contains(g.logged(), "the upstream credential: the agent key of stale is not valid in DocsGPT") {
			t.Error("the log does not name the credential")
		}
		if g.metric(`caddy_docsgate_upstream_failures_total{code="upstream_refused",endpoint="stream"}`) == "" {
			t.Error("no metric of the failure")
		}
	})
}

// Whatever happens to a stream that has begun, it ends in an event that says so.
func TestTruncatedStreamsEndWithErrorEvent(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		for question, end := range map[string]string{
			"q":              `{"type": "end"}`,
			"[[keepalive]]":  `{"type": "end"}`,
			"[[split]]":      `{"type": "end"}`,
			"[[unicode]]":    `{"type": "end"}`,
			"[[big=100000]]": `{"type": "end"}`,
			"[[errorevent]]": `"code": "server_error"}`,
			"[[cut]]":        `"code":"upstream_truncated"`,
			"[[noend]]":      `"code":"upstream_truncated"`,
			"[[plainjson]]":  `"code":"upstream_error"`,
		} {
			t.Run(question, func(t *testing.T) {
				r := g.ask("/stream", tokenAgent, question, "")
				if !strings.HasPrefix(r.header.Get("Content-Type"), "text/event-stream") {
					t.Errorf("content type %q", r.header.Get("Content-Type"))
				}
				for line := range strings.Lines(r.body) {
					data, ok := strings.CutPrefix(line, "data: ")
					if line != "\n" && (!ok || !json.Valid([]byte(data))) {
						t.Errorf("a line that a widget cannot read: %q", line)
					}
				}
				events := strings.Split(strings.TrimSuffix(r.body, "\n\n"), "\n\n")
				if last := events[len(events)-1]; !strings.Contains(last, end) {
					t.Errorf("ends with %q, want %s", last, end)
				}
				// Widgets show an error only in place of an answer, so a broken one says so in its text.
				broken := strings.Contains(r.body, `{"type":"answer","answer":"\n\nThe answer was interrupted.`)
				if want := question == "[[cut]]" || question == "[[noend]]"; broken != want {
					t.Errorf("the text says that it is not whole: %v, want %v", broken, want)
				}
			})
		}
	})
}

// TestOpenAIStreamUnchanged holds the answer through the gate against the one that the backend itself gives.
func TestOpenAIStreamUnchanged(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		body := `{"messages":[{"role":"user","content":"hello [[keepalive]][[unicode]]"}],"stream":true}`
		through := g.send(http.MethodPost, "/v1/chat/completions", body, "Authorization", "Bearer "+tokenAgent)
		direct := g.sendTo("http://"+g.address, http.MethodPost, "/v1/chat/completions", body, "Authorization", "Bearer "+agentAlpha)
		if through.status != http.StatusOK || !strings.HasSuffix(through.body, "data: [DONE]\n\n") {
			t.Fatalf("%d %s", through.status, through.body)
		}
		if a, b := strings.Count(through.body, "\n"), strings.Count(direct.body, "\n"); a != b || !strings.Contains(through.body, ": keepalive\n") {
			t.Errorf("%d lines through the gate, %d without it:\n%s", a, b, through.body)
		}
		cut := g.send(http.MethodPost, "/v1/chat/completions", strings.Replace(body, "hello", "hello [[cut]]", 1),
			"Authorization", "Bearer "+tokenAgent)
		if !strings.Contains(cut.body, "\n\ndata: {\"error\":{\"message\":") || !strings.HasSuffix(cut.body, "}}\n\n") {
			t.Errorf("a cut stream ends with %q", cut.body[max(0, len(cut.body)-300):])
		}
	})
}

func TestUpstreamUnavailable(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		dead := listener.Addr().String()
		listener.Close()
		site := ways["own forwarding"]
		if strings.Contains(t.Name(), "reverse_proxy") {
			site = ways["reverse_proxy"]
		}
		if err := g.load(g.config(fmt.Sprintf(site, dead, ""))); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/stream", "/api/answer", "/v1/chat/completions"} {
			r := g.send(http.MethodPost, path, `{"question":"q","messages":[],"api_key":"`+tokenAgent+`"}`,
				"Authorization", "Bearer "+tokenAgent)
			if r.status != http.StatusBadGateway {
				t.Errorf("%s: status %d", path, r.status)
			}
			checkShape(t, path, r, "upstream_unavailable")
		}
	})
}

func TestSlowUpstream(t *testing.T) {
	g := prepare(t)
	silent := func(head bool) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a server notices that a client is gone only after its body
			if head {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "data: {\"type\": \"answer\", \"answer\": \"a\"}\n\n")
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	g.start("docsgate "+silent(false)+" {\nresponse_header_timeout 50ms\n}\n", "docsgate "+silent(true)+" {\nstream_idle_timeout 50ms\n}\n")
	body := `{"question":"q","api_key":"` + tokenAgent + `"}`
	r := g.sendTo(g.urls[0], http.MethodPost, "/stream", body)
	if r.status != http.StatusGatewayTimeout {
		t.Errorf("no first byte: status %d", r.status)
	}
	checkShape(t, "/stream", r, "upstream_timeout")
	r = g.sendTo(g.urls[1], http.MethodPost, "/stream", body)
	if !strings.HasPrefix(r.body, "data: {\"type\": \"answer\"") || !strings.Contains(r.body, `"code":"upstream_timeout"`) {
		t.Errorf("silence in a stream: %q", r.body)
	}
}

// A stream reaches the client piece by piece, and its end reaches DocsGPT at once.
func TestStreamFlushedAndCanceled(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		ctx, cancel := context.WithCancel(t.Context())
		body := `{"question":"[[gap=60]]","history":"[]","api_key":"` + tokenAgent + `"}`
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+"/stream", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() && !strings.Contains(lines.Text(), `"type": "answer"`) {
		}
		if !strings.Contains(lines.Text(), "demo") {
			t.Fatalf("the first piece did not come while the backend is silent: %q", lines.Text())
		}
		if n := g.metric("caddy_docsgate_streams_in_flight "); n != "1" {
			t.Errorf("open streams: %s", n)
		}
		cancel()
		until(t, "the backend sees the client go", func() bool { return g.backend.OpenStreams() == 0 && g.last().Canceled })
		until(t, "the gauge is down", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "0" })
	})
}

// A conversation is continued by the key that began it and by no other.
func TestConversationOwnership(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		for _, path := range []string{"/stream", "/api/answer"} {
			first := g.ask(path, tokenMany, "one", "")
			id := first.conversation(t)
			more := `,"conversation_id":"` + id + `"`
			if again := g.ask(path, tokenMany, "two", more); !strings.Contains(again.body, "turns=2") {
				t.Errorf("%s: the key's own conversation did not go on: %s", path, again.body)
			}
			if other := g.ask(path, tokenSource, "three", more); other.status != http.StatusOK || !strings.Contains(other.body, "turns=1") {
				t.Errorf("%s: another key's conversation was continued: %s", path, other.body)
			}
			if strings.Contains(string(g.last().Body), id) {
				t.Errorf("%s: a foreign conversation was forwarded", path)
			}
		}
		first := g.ask("/stream", tokenAgent, "one", "")
		id := first.conversation(t)
		r := g.send(http.MethodPost, "/api/feedback", `{"question":"one","answer":"a","feedback":"LIKE","api_key":"`+tokenAgent+
			`","conversation_id":"`+id+`","question_index":0}`)
		if r.status != http.StatusOK || !strings.Contains(r.body, "true") {
			t.Errorf("feedback on the own conversation: %d %s", r.status, r.body)
		}
	})
}

func TestKeysChangeWhileRunning(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		works := func(token string) bool { return g.ask("/api/answer", token, "q", "").status == http.StatusOK }
		if !works(tokenAgent) || works("canary-token-new") {
			t.Fatal("wrong from the start")
		}
		g.write(fmt.Sprintf("keys:\n  - {id: new, sha256: %s, agent: \"{env.AGENT_BETA}\"}\n", sha("canary-token-new")))
		until(t, "the new key works", func() bool { return works("canary-token-new") })
		if works(tokenAgent) {
			t.Error("a removed key works")
		}
		g.write("keys:\n  - {id: new}\n")
		until(t, "the fault is seen", func() bool {
			return g.metric(`caddy_docsgate_feed_failures_total{feed="file:`+g.keys+`"}`) == "1"
		})
		if got := g.metric(`caddy_docsgate_feed_up{feed="file:` + g.keys + `"}`); got != "0" {
			t.Errorf("feed up: %s", got)
		}
		if !works("canary-token-new") {
			t.Error("a bad file took the good keys away")
		}
		until(t, "the log names the file and line", func() bool { return strings.Contains(g.logged(), "keys.yaml:2") })
		g.write(fmt.Sprintf("keys:\n  - {id: new, sha256: %s, agent: \"{env.AGENT_BETA}\", state: disabled}\n", sha("canary-token-new")))
		until(t, "the key is disabled", func() bool { return !works("canary-token-new") })
		if got := g.metric(`caddy_docsgate_keys{state="disabled"}`); got != "1" {
			t.Errorf("disabled keys: %s", got)
		}
	})
}

// No token, credential or digest stands in a log, at the most talkative level, or in a metric.
func TestSecretsNotLogged(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		for _, token := range []string{tokenAgent, tokenSource, tokenMany, tokenStale, tokenOld, tokenOff} {
			for _, path := range []string{"/stream", "/api/answer", "/api/search", "/api/upload"} {
				g.ask(path, token, "q [[fail=500]]", "")
				g.ask(path, token, "q [[cut]]", "")
			}
			g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+token)
		}
		g.send(http.MethodPost, "/stream", `{"question":"last one","api_key":"`+tokenAgent+`"}`, "User-Agent", "the-last-request")
		until(t, "all is logged", func() bool { return strings.Contains(g.logged(), "the-last-request") })
		noSecrets(t, "the log", g.logged())
		noSecrets(t, "metrics", g.send(http.MethodGet, "/metrics", "").body)
		if !strings.Contains(g.logged(), `"user_id":"agent"`) {
			t.Error("the access log does not name the key")
		}
		if !strings.Contains(g.logged(), `"docsgate":{"reason":"expired"`) {
			t.Error("the access log does not tell why a key was refused")
		}
	})
}

func TestReload(t *testing.T) {
	g := prepare(t)
	site := fmt.Sprintf(ways["own forwarding"], g.address, "")
	g.start(site)
	first := g.ask("/stream", tokenMany, "one", "")
	id := first.conversation(t)

	// A stream that is open goes on over the reload.
	body := `{"question":"[[gap=1]]","history":"[]","api_key":"` + tokenAgent + `"}`
	resp, err := http.Post(g.urls[0]+"/stream", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	g.write(keyFile() + fmt.Sprintf("  - {id: added, sha256: %s, agent: \"{env.AGENT_BETA}\"}\n", sha("canary-token-new")))
	if err := g.load(g.config(site)); err != nil {
		t.Fatal(err)
	}
	if r := g.ask("/api/answer", "canary-token-new", "q", ""); r.status != http.StatusOK {
		t.Errorf("the reload did not read the keys again: %d", r.status)
	}
	if again := g.ask("/stream", tokenMany, "two", `,"conversation_id":"`+id+`"`); !strings.Contains(again.body, "turns=2") {
		t.Errorf("the reload forgot the conversations: %s", again.body)
	}
	ended := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		ended = ended || strings.Contains(lines.Text(), `{"type": "end"}`)
	}
	if !ended {
		t.Error("the reload cut an open stream")
	}

	g.write("keys: nonsense\n")
	if err := g.load(g.config(site)); err == nil || !strings.Contains(err.Error(), "keys.yaml:1") {
		t.Errorf("a configuration with a bad key file was loaded: %v", err)
	}
	if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK {
		t.Errorf("after a refused reload: %d", r.status)
	}
}

func TestInvalidKeysReportedAtStart(t *testing.T) {
	g := prepare(t)
	g.write("keys:\n  - {id: a, token: in-clear, agent: \"{env.AGENT_ALPHA}\"}\n  - {id: a, sha256: nope, source: [\"x\"]}\n")
	err := g.load(g.config(fmt.Sprintf(ways["own forwarding"], g.address, "")))
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"keys.yaml:2", "keys.yaml:3", "{env.", "docsgate keys hash", "UUID"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "in-clear") {
		t.Error("the error shows a token")
	}
}

func TestTrustedProxyHeaders(t *testing.T) {
	g := prepare(t)
	config := strings.Replace(g.config(fmt.Sprintf(ways["own forwarding"], g.address, "")), "127.0.0.9/32", "127.0.0.0/8", 1)
	g.start()
	if err := g.load(config); err != nil {
		t.Fatal(err)
	}
	g.send(http.MethodPost, "/stream", `{"question":"q","api_key":"`+tokenAgent+`"}`, "X-Forwarded-For", "192.0.2.7",
		"X-Forwarded-Proto", "https", "X-Forwarded-Host", "ask.example.com")
	call := g.last()
	if got := call.Header.Get("X-Forwarded-For"); got != "192.0.2.7, 127.0.0.1" {
		t.Errorf("X-Forwarded-For: %q", got)
	}
	if call.Header.Get("X-Forwarded-Proto") != "https" || call.Header.Get("X-Forwarded-Host") != "ask.example.com" {
		t.Errorf("got %v", call.Header)
	}
}

func TestPlaceholders(t *testing.T) {
	g := prepare(t)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Seen"))
	}))
	defer echo.Close()
	g.start("docsgate\nreverse_proxy " + strings.TrimPrefix(echo.URL, "http://") +
		" {\nheader_up X-Seen \"{http.auth.user.id}|{docsgate.key.id}|{docsgate.key.name}|{docsgate.source}\"\n}\n")
	if r := g.ask("/api/answer", tokenAgent, "q", ""); r.body != "agent|agent|Agent key|" {
		t.Errorf("agent: %q", r.body)
	}
	if r := g.ask("/api/answer", tokenMany, "q", ""); r.body != "many|many|many|"+sourceAlpha+","+sourceBeta {
		t.Errorf("sources: %q", r.body)
	}
}

func TestNoNextHandler(t *testing.T) {
	g := prepare(t)
	g.start("docsgate\n")
	r := g.ask("/stream", tokenAgent, "q", "")
	checkShape(t, "/stream", r, "upstream_unavailable")
	if !strings.Contains(g.logged(), "set an upstream in the docsgate directive") {
		t.Error("the log does not say what to do")
	}
}
