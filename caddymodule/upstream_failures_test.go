package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Errors of the upstream are sent in the format of the client, regardless of DocsGPT's format.
func TestUpstreamFailures(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
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
						continue // the status there is 500, without a reason
					}
					r := g.ask(path, c.token, c.question, "")
					if r.status != c.status {
						t.Errorf("%s: status %d, want %d: %s", path, r.status, c.status, r.body)
					}
					checkErrorFormat(t, path, r, c.code)
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
		checkErrorFormat(t, "/v1/chat/completions", r, "upstream_refused")
		// The key remains valid, and the log contains the likely reason.
		if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK {
			t.Errorf("after failures: %d %s", r.status, r.body)
		}
		if !strings.Contains(g.logs(), "the upstream credential: the agent key of stale is not valid in DocsGPT") {
			t.Error("the log does not name the credential")
		}
		if g.metric(`caddy_docsgate_upstream_failures_total{code="upstream_refused",endpoint="stream"}`) == "" {
			t.Error("no metric of the failure")
		}
	})
}

// A stream that has begun and fails ends with an error event.
func TestTruncatedStreamsEndWithErrorEvent(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
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
				// Widgets show an error only in place of an answer, so the text of a truncated answer says so, too.
				broken := strings.Contains(r.body, `{"type":"answer","answer":"\n\nThe answer was interrupted.`)
				if want := question == "[[cut]]" || question == "[[noend]]"; broken != want {
					t.Errorf("the text says that it is truncated: %v, want %v", broken, want)
				}
			})
		}
	})
}

func TestUpstreamUnavailable(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		dead := listener.Addr().String()
		listener.Close()
		site := forwardModes["built-in"]
		if strings.Contains(t.Name(), "reverse_proxy") {
			site = forwardModes["reverse_proxy"]
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
			checkErrorFormat(t, path, r, "upstream_unavailable")
		}
	})
}

func TestSlowUpstream(t *testing.T) {
	g := newGate(t)
	silent := func(head bool) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a server detects a disconnect only after the body
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
	checkErrorFormat(t, "/stream", r, "upstream_timeout")
	r = g.sendTo(g.urls[1], http.MethodPost, "/stream", body)
	if !strings.HasPrefix(r.body, "data: {\"type\": \"answer\"") || !strings.Contains(r.body, `"code":"upstream_timeout"`) {
		t.Errorf("silence in a stream: %q", r.body)
	}
}
