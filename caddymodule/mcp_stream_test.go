package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// listenerGone reports whether the backend has ended the stream of a client that disconnected, so that it accepts another one.
func (g *gate) listenerGone() bool {
	return g.backend.OpenStreams() == 0 &&
		slices.ContainsFunc(g.backend.Calls(), func(c docsgpttest.Call) bool { return c.Method == http.MethodGet && c.Canceled })
}

// The stream of a listening client begins immediately and stays open. If one side closes it, the other side is closed, too.
func TestMCPServerStream(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		id := g.session(tokenAgent)
		listen := func() (*http.Response, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.urls[0]+"/mcp", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "text/event-stream")
			r.Header.Set("Authorization", "Bearer "+tokenAgent)
			r.Header.Set("Mcp-Session-Id", id)
			r.Header.Set("Last-Event-Id", "7")
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%d %v", resp.StatusCode, resp.Header)
			}
			return resp, cancel
		}
		resp, cancel := listen()
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.HasPrefix(line, ": ping") {
			t.Errorf("the first line: %q %v", line, err)
		}
		if got := g.lastCall().Header.Get("Last-Event-Id"); got != "7" {
			t.Errorf("Last-Event-Id: %q", got)
		}
		again := g.send(http.MethodGet, "/mcp", "", g.mcpHeaders(tokenAgent, id)...)
		checkRPC(t, "a second listener", again, http.StatusConflict, -32600, "conflict")
		cancel()
		resp.Body.Close()
		waitFor(t, "the backend has ended the stream", g.listenerGone)

		resp, cancel = listen()
		defer cancel()
		defer resp.Body.Close()
		if r := g.send(http.MethodDelete, "/mcp", "", g.mcpHeaders(tokenAgent, id)...); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if text := lines.Text(); text != "" && !strings.HasPrefix(text, ":") {
				t.Errorf("the stream ends with %q", text)
			}
		}
	})
}

// The stream of a listening client is closed regularly when its configuration is stopped. (That the process exits, too, is tested
// end to end.)
func TestMCPServerStreamEndsOnReload(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			site = fmt.Sprintf(strings.Replace(site, "endpoints widget openai health", "endpoints mcp", 1), g.address, "")
			config := strings.Replace(g.config(site), "grace_period 1s", "grace_period 1h", 1)
			g.start()
			if err := g.load(config); err != nil {
				t.Fatal(err)
			}
			id := g.session(tokenAgent)
			for _, end := range []struct {
				how string
				do  func() error
			}{
				{"a reload", func() error { return g.load(strings.Replace(config, "endpoints mcp", "endpoints mcp widget", 1)) }},
				{"the end", func() error { return caddy.Stop() }},
			} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.urls[0]+"/mcp", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header = http.Header{
					"Accept": {"text/event-stream"}, "Authorization": {"Bearer " + tokenAgent}, "Mcp-Session-Id": {id},
				}
				resp, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if err := end.do(); err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || strings.Contains(string(text), "data") {
					t.Errorf("%s: %d %q %v", end.how, resp.StatusCode, text, err)
				}
				waitFor(t, "the backend has ended the stream", g.listenerGone)
			}
		})
	}
}

// An idle stream of a listening client does not cause an error.
func TestMCPServerStreamIdle(t *testing.T) {
	g := newGate(t)
	g.start("docsgate " + g.address + " {\nendpoints mcp\nstream_idle_timeout 500ms\n}\n")
	id := g.session(tokenAgent)
	r := g.send(http.MethodGet, "/mcp", "", g.mcpHeaders(tokenAgent, id)...)
	if r.status != http.StatusOK || strings.Contains(r.body, "data") {
		t.Errorf("%d %q", r.status, r.body)
	}
	if strings.Contains(g.logs(), "DocsGPT request failed") {
		t.Error("it is logged as an error")
	}
	m := g.message(tokenAgent, id, toolCall("[[gap=5]]")).rpc(t)
	if m.ID != "a" || m.Error == nil || m.Error.Data.Code != "upstream_timeout" {
		t.Errorf("silence in place of an answer: %+v", m)
	}
}
