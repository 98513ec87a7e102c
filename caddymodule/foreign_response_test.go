package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A stream for OpenAI clients that ends without [DONE] or an error gets an error, since SDKs would take it as complete.
func TestCompletionStreamWithoutEnd(t *testing.T) {
	const failure = `data: {"error": {"message": "no", "type": "server_error"}}` + "\n\n"
	streams := map[string]struct{ sent, want string }{
		"complete":               {chunkOne + chunkDone, chunkOne + chunkDone},
		"no blank line at end":   {chunkOne + "data: [DONE]", chunkOne + chunkDone},
		"an error":               {chunkOne + failure, chunkOne + failure},
		"no end":                 {chunkOne, ""},
		"a part of an event":     {chunkOne + `data: {"choices":`, ""},
		"empty":                  {"", ""},
		"the end in a text":      {`data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"[DONE] \"error\""}}]}` + "\n\n", ""},
		"a null error in chunks": {`data: {"error":null,"choices":[{"index":0,"delta":{"role":"assistant"}}]}` + "\n\n", ""},
	}
	eachForwarding(t, "", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)                                // otherwise the connection would be reset at its end
		connection, buffer, err := http.NewResponseController(w).Hijack() // HTTP/1.0: the end of the connection ends the body
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		_, _ = fmt.Fprintf(buffer, "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n%s", streams[r.Header.Get("User-Agent")].sent)
		_ = buffer.Flush()
	}, func(t *testing.T, g *gate) {
		for name, c := range streams {
			r := g.send(http.MethodPost, "/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"q"}]}`,
				"Authorization", "Bearer "+tokenAgent, "User-Agent", name)
			if c.want != "" {
				if r.body != c.want {
					t.Errorf("%s: %q, want %q", name, r.body, c.want)
				}
				continue
			}
			if !strings.Contains(r.body, `"code":"upstream_truncated"`) || strings.Contains(r.body, "data: [DONE]") {
				t.Errorf("%s: %q", name, r.body)
			}
		}
	})
}

// A successful response that is not one of DocsGPT's is an error, and the log names the likely cause.
func TestForeignResponse(t *testing.T) {
	eachForwarding(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Log in</title>"))
	}, func(t *testing.T, g *gate) {
		for _, r := range []response{
			g.ask("/stream", tokenAgent, "q", ""), g.ask("/api/answer", tokenAgent, "q", ""), g.ask("/api/search", tokenAgent, "q", ""),
			g.complete(""), g.complete(`"stream":true`), g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+tokenAgent),
			g.send(http.MethodGet, "/api/health", ""),
		} {
			if r.status != http.StatusBadGateway || !strings.Contains(r.body, "upstream_error") || strings.Contains(r.body, "Log in") {
				t.Errorf("status %d: %s", r.status, r.body)
			}
		}
		for _, want := range []string{`text/html`, "the upstream is not DocsGPT's API"} {
			if !strings.Contains(g.logs(), want) {
				t.Errorf("the log does not contain %q", want)
			}
		}
	})
}

// The error of a handler after the gate, such as a rate limit, keeps its status and Retry-After, and is not logged as a failure
// of DocsGPT.
func TestErrorOfNextHandler(t *testing.T) {
	for status, code := range map[int]string{429: "rate_limited", 413: "body_too_large", 503: "overloaded", 403: "rejected"} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			g := newGate(t)
			g.start(fmt.Sprintf("route {\ndocsgate {\nendpoints widget openai\n}\nheader Retry-After 7\nerror %d\n}\n", status))
			for path, r := range map[string]response{
				"/stream":              g.ask("/stream", tokenAgent, "q", ""),
				"/api/answer":          g.ask("/api/answer", tokenAgent, "q", ""),
				"/v1/chat/completions": g.complete(""),
			} {
				if r.status != status || r.header.Get("Retry-After") != "7" {
					t.Errorf("%s: status %d, Retry-After %q", path, r.status, r.header.Get("Retry-After"))
				}
				checkErrorFormat(t, path, r, code)
			}
			if strings.Contains(g.logs(), "DocsGPT request failed") {
				t.Error("it is logged as a failure of DocsGPT")
			}
		})
	}
}
