package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestValidKeyForwarded(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
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
				assertNoSecrets(t, "the response", r.body)
			})
		}
	})
}

// The forwarded request is built by the gate: one credential, the binding, a known length, few headers.
func TestForwardedRequest(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
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
		call := g.lastCall()
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
		call = g.lastCall()
		if want := `{"question":"q","history":"[]","active_docs":["` + sourceAlpha + `","` + sourceBeta + `"]}`; string(call.Body) != want {
			t.Errorf("source binding: got %s, want %s", call.Body, want)
		}
		if got := call.Header.Get("Authorization"); got != "Bearer "+access {
			t.Error("the source binding went without the gate's credential")
		}

		g.send(http.MethodGet, "/v1/models", "", "Authorization", "bearer "+tokenAgent)
		if call = g.lastCall(); call.Header.Get("Authorization") != "Bearer "+agentAlpha || len(call.Body) > 0 {
			t.Errorf("models: %v, body %s", call.Header, call.Body)
		}
		g.send(http.MethodGet, "/api/health", "", "Authorization", "Bearer "+tokenAgent)
		if call = g.lastCall(); call.Path != "/api/health" || call.Header.Get("Authorization") != "" {
			t.Errorf("health: %s %v", call.Path, call.Header)
		}
	})
}

// TestOpenAIStreamUnchanged compares a response through the gate with the response of the backend.
func TestOpenAIStreamUnchanged(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
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

// Chunks of a stream are flushed, and a disconnect of the client is propagated to DocsGPT immediately.
func TestStreamFlushedAndCanceled(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
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
			t.Fatalf("the first chunk was not flushed: %q", lines.Text())
		}
		if n := g.metric("caddy_docsgate_streams_in_flight "); n != "1" {
			t.Errorf("open streams: %s", n)
		}
		cancel()
		waitFor(t, "the backend has detected the disconnect", func() bool { return g.backend.OpenStreams() == 0 && g.lastCall().Canceled })
		waitFor(t, "the gauge is down", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "0" })
	})
}

// Only the key that has created a conversation can continue it.
func TestConversationOwnership(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
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
			if strings.Contains(string(g.lastCall().Body), bareID(t, id)) {
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

// No token, credential or digest is in a log, even at the level DEBUG, or in a metric.
func TestSecretsNotLogged(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for _, token := range []string{tokenAgent, tokenSource, tokenMany, tokenStale, tokenOld, tokenOff} {
			for _, path := range []string{"/stream", "/api/answer", "/api/search", "/api/upload"} {
				g.ask(path, token, "q [[fail=500]]", "")
				g.ask(path, token, "q [[cut]]", "")
			}
			g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+token)
		}
		g.send(http.MethodPost, "/stream", `{"question":"last one","api_key":"`+tokenAgent+`"}`, "User-Agent", "the-last-request")
		waitFor(t, "all is logged", func() bool { return strings.Contains(g.logs(), "the-last-request") })
		assertNoSecrets(t, "the log", g.logs())
		assertNoSecrets(t, "metrics", g.send(http.MethodGet, "/metrics", "").body)
		if !strings.Contains(g.logs(), `"user_id":"agent"`) {
			t.Error("the access log does not name the key")
		}
		if !strings.Contains(g.logs(), `"docsgate":{"reason":"expired"`) {
			t.Error("the access log does not contain the reason for a rejected key")
		}
	})
}

func TestTrustedProxyHeaders(t *testing.T) {
	g := newGate(t)
	config := strings.Replace(g.config(fmt.Sprintf(forwardModes["built-in"], g.address, "")), "127.0.0.9/32", "127.0.0.0/8", 1)
	g.start()
	if err := g.load(config); err != nil {
		t.Fatal(err)
	}
	g.send(http.MethodPost, "/stream", `{"question":"q","api_key":"`+tokenAgent+`"}`, "X-Forwarded-For", "192.0.2.7",
		"X-Forwarded-Proto", "https", "X-Forwarded-Host", "ask.example.com")
	call := g.lastCall()
	if got := call.Header.Get("X-Forwarded-For"); got != "192.0.2.7, 127.0.0.1" {
		t.Errorf("X-Forwarded-For: %q", got)
	}
	if call.Header.Get("X-Forwarded-Proto") != "https" || call.Header.Get("X-Forwarded-Host") != "ask.example.com" {
		t.Errorf("got %v", call.Header)
	}
}

func TestNoNextHandler(t *testing.T) {
	g := newGate(t)
	g.start("docsgate\n")
	r := g.ask("/stream", tokenAgent, "q", "")
	checkErrorFormat(t, "/stream", r, "upstream_unavailable")
	if !strings.Contains(g.logs(), "set an upstream in the docsgate directive") {
		t.Error("the log does not say how to fix it")
	}
}
