package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// eachForwarding runs a test with each way of forwarding to an upstream with its own handler.
func eachForwarding(t *testing.T, options string, upstream http.HandlerFunc, test func(t *testing.T, g *gate)) {
	t.Helper()
	server := httptest.NewServer(upstream)
	defer server.Close()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.start(fmt.Sprintf(site, strings.TrimPrefix(server.URL, "http://"), options))
			test(t, g)
		})
	}
}

// writeParts writes parts of a response, each after the silence, or immediately if it is 0. The content type is sent with the first.
func writeParts(w http.ResponseWriter, contentType string, silence time.Duration, parts ...string) {
	for i, part := range parts {
		time.Sleep(silence)
		if i == 0 {
			w.Header().Set("Content-Type", contentType)
		}
		_, _ = w.Write([]byte(part))
		_ = http.NewResponseController(w).Flush()
	}
}

const silence = 350 * time.Millisecond // longer than two keepalives

const (
	widgetAnswer = `data: {"type":"answer","answer":"hello"}` + "\n\n"
	widgetEnd    = `data: {"type":"end"}` + "\n\n"
	chunkOne     = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"hello"}}]}` + "\n\n"
	chunkDone    = "data: [DONE]\n\n"
)

func TestKeepalivesDuringSilence(t *testing.T) {
	upstream := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			half := len(widgetAnswer) / 2
			writeParts(w, "text/event-stream", silence, widgetAnswer[:half], widgetAnswer[half:], widgetEnd)
			return
		}
		half := len(chunkOne) / 2
		writeParts(w, "text/event-stream", silence, chunkOne[:half], chunkOne[half:], chunkDone)
	}
	eachForwarding(t, "sse_keepalive 100ms", upstream, func(t *testing.T, g *gate) {
		for name, c := range map[string]struct {
			response        response
			keepalive, want string
		}{
			"widget": {g.ask("/stream", tokenAgent, "q", ""), "\n", widgetAnswer + widgetEnd},
			"openai": {g.complete(`"stream":true`), ": keepalive\n\n", chunkOne + chunkDone},
		} {
			r := c.response
			if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "text/event-stream") {
				t.Errorf("%s: status %d, content type %q", name, r.status, r.header.Get("Content-Type"))
			}
			before, rest, found := strings.Cut(r.body, c.want[:20])
			if !found || strings.Count(before, c.keepalive) < 3 || strings.Trim(before, c.keepalive) != "" {
				t.Errorf("%s: before the first event: %q", name, before)
			}
			// The first event is sent whole, and keepalives follow it.
			first, last, _ := strings.Cut(c.want[20:], "\n\n")
			middle, ok := strings.CutPrefix(rest, first+"\n\n")
			middle, end, found := strings.Cut(middle, last)
			if !ok || !found || end != "" || strings.Count(middle, c.keepalive) < 1 || strings.Trim(middle, c.keepalive) != "" {
				t.Errorf("%s: after the first event: %q", name, rest)
			}
		}
	})
}

// complete sends a request to /v1/chat/completions; more is further fields.
func (g *gate) complete(more string) response {
	g.t.Helper()
	if more != "" {
		more = "," + more
	}
	return g.send(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"q"}]`+more+`}`,
		"Authorization", "Bearer "+tokenAgent)
}

// A comment of DocsGPT is relayed: as it is to OpenAI clients, as a blank line to widgets.
func TestUpstreamKeepalivesRelayed(t *testing.T) {
	eachForwarding(t, "sse_keepalive 0", func(w http.ResponseWriter, r *http.Request) {
		parts := []string{widgetAnswer, ": keepalive\n\n", widgetEnd}
		if r.URL.Path != "/stream" {
			parts = []string{chunkOne, ": keepalive\n\n", chunkDone}
		}
		writeParts(w, "text/event-stream", silence, parts...)
	}, func(t *testing.T, g *gate) {
		if r := g.ask("/stream", tokenAgent, "q", ""); r.body != widgetAnswer+"\n"+widgetEnd {
			t.Errorf("widget: %q", r.body)
		}
		if r := g.complete(`"stream":true`); r.body != chunkOne+": keepalive\n\n"+chunkDone {
			t.Errorf("openai: %q", r.body)
		}
	})
}

// When a keepalive has begun the stream, a failure of DocsGPT is an event.
func TestFailureAfterKeepalive(t *testing.T) {
	eachForwarding(t, "sse_keepalive 100ms", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(silence)
		if r.Header.Get("User-Agent") == "json" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"answer":"hello"}`))
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}, func(t *testing.T, g *gate) {
		for _, agent := range []string{"error", "json"} {
			r := g.send(http.MethodPost, "/stream", `{"question":"q","api_key":"`+tokenAgent+`"}`, "User-Agent", agent)
			if r.status != http.StatusOK || !strings.HasPrefix(strings.TrimLeft(r.body, "\n"), `data: {"type":"error"`) {
				t.Errorf("widget, %s: %d %q", agent, r.status, r.body)
			}
			r = g.send(http.MethodPost, "/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"q"}]}`,
				"Authorization", "Bearer "+tokenAgent, "User-Agent", agent)
			if r.status != http.StatusOK || !strings.Contains(r.body, "\n\ndata: {\"error\":{") || !strings.HasSuffix(r.body, "}\n\n") {
				t.Errorf("openai, %s: %d %q", agent, r.status, r.body)
			}
		}
	})
}

// Without a stream, and with sse_keepalive 0, a slow response is not changed.
func TestNoKeepalive(t *testing.T) {
	const completion = `{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}`
	upstream := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			writeParts(w, "text/event-stream", silence, widgetEnd)
			return
		}
		writeParts(w, "application/json", silence, completion)
	}
	eachForwarding(t, "sse_keepalive 100ms", upstream, func(t *testing.T, g *gate) {
		for _, more := range []string{"", `"stream":false`} {
			if r := g.complete(more); r.body != completion {
				t.Errorf("completion with %q: %q", more, r.body)
			}
		}
	})
	eachForwarding(t, "sse_keepalive 0", upstream, func(t *testing.T, g *gate) {
		if r := g.ask("/stream", tokenAgent, "q", ""); r.body != widgetEnd {
			t.Errorf("stream: %q", r.body)
		}
	})
}

// A stream begins with its first complete event: half of one is not counted.
func TestTimeToFirstEvent(t *testing.T) {
	upstream := func(w http.ResponseWriter, _ *http.Request) {
		half := len(widgetAnswer) / 2
		writeParts(w, "text/event-stream", silence, widgetAnswer[:half], widgetAnswer[half:], widgetEnd)
	}
	const name = "caddy_docsgate_time_to_first_event_seconds_"
	eachForwarding(t, "", upstream, func(t *testing.T, g *gate) {
		counted := func(end string) string {
			return g.metric(name + end + " ")
		}
		early, all := counted(`bucket{endpoint="stream",le="0.5"}`), counted(`count{endpoint="stream"}`)
		g.ask("/stream", tokenAgent, "q", "")
		if now := counted(`bucket{endpoint="stream",le="0.5"}`); now != early {
			t.Errorf("%s events within 0.5 s, want %s: the first event was complete after twice %s", now, early, silence)
		}
		if now := counted(`count{endpoint="stream"}`); now == all {
			t.Errorf("still %s first events", now)
		}
	})
}
