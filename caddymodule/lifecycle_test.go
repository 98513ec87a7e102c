package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule"
)

// dial opens a connection to the first site.
func (g *gate) dial() net.Conn {
	g.t.Helper()
	c, err := (&net.Dialer{}).DialContext(g.t.Context(), "tcp", strings.TrimPrefix(g.urls[0], "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	return c
}

// rawQuestion returns a request as it is sent on a connection.
func rawQuestion(path, text string) string {
	body := fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, text, tokenAgent)
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, len(body), body)
}

func writeTo(t *testing.T, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// waitForRequests waits until n requests are in flight at the backend.
func (g *gate) waitForRequests(n int64) {
	g.t.Helper()
	waitFor(g.t, "the backend has the request", func() bool { return g.upstream.Load() == n })
}

func (g *gate) aborted(endpoint, reason string) string {
	g.t.Helper()
	return g.metric(fmt.Sprintf(`caddy_docsgate_aborted_requests_total{endpoint=%q,reason=%q}`, endpoint, reason))
}

// net/http no longer detects a disconnect after a pipelined byte.
func TestDisconnectAfterPipelinedByteCancelsUpstream(t *testing.T) {
	for _, pause := range []string{"wait", "gap"} {
		t.Run(pause, func(t *testing.T) {
			testForwardModes(t, "", func(t *testing.T, g *gate) {
				before := g.aborted("stream", "client_disconnected")
				c := g.dial()
				writeTo(t, c, rawQuestion("/stream", "[["+pause+"=600]]"))
				g.waitForRequests(1)
				writeTo(t, c, "G")
				c.Close()
				g.waitForRequests(0)
				waitFor(t, "it is counted", func() bool { return g.aborted("stream", "client_disconnected") != before })
			})
		})
	}
}

// A pipelined request is answered after the first one, regardless of its duration.
func TestPipelinedRequests(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		c := g.dial()
		writeTo(t, c, rawQuestion("/api/answer", "first [[wait=3]]"))
		g.waitForRequests(1)
		writeTo(t, c, rawQuestion("/api/answer", "second"))
		r := bufio.NewReader(c)
		for range 2 {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s %v", resp.StatusCode, text, err)
			}
			resp.Body.Close()
		}
	})
}

// With HTTP/2 the server always reads from the connection.
func TestHTTP2DisconnectCancelsUpstream(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			config := strings.Replace(g.config(fmt.Sprintf(site, g.address, "")), "servers {", "servers {\nprotocols h1 h2c", 1)
			g.start()
			if err := g.load(config); err != nil {
				t.Fatal(err)
			}
			conns := make(chan net.Conn, 3) // the transport may open more than it uses
			transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) {
				conn := g.dial()
				conns <- conn
				return conn, nil
			}}
			transport.Protocols.SetUnencryptedHTTP2(true)
			for range 3 {
				go func() {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.urls[0]+"/stream",
						strings.NewReader(fmt.Sprintf(`{"question":"[[wait=600]]","history":"[]","api_key":%q}`, tokenAgent)))
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("Content-Type", "application/json")
					if resp, err := transport.RoundTrip(r); err == nil {
						resp.Body.Close()
					}
				}()
			}
			g.waitForRequests(3)
			for range len(conns) {
				conn := <-conns
				_, _ = io.WriteString(conn, "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678") // a ping frame
				conn.Close()
			}
			g.waitForRequests(0)
		})
	}
}

// If a client does not read, the upstream request is canceled, and the reason is counted and logged.
func TestUnreadStreamTimesOut(t *testing.T) {
	testForwardModes(t, "client_write_timeout 200ms\nclient_min_rate 1MiB", func(t *testing.T, g *gate) {
		before := g.aborted("stream", "client_too_slow")
		c := g.dial()
		if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		writeTo(t, c, rawQuestion("/stream", "[[words=100000]]"))
		waitFor(t, "it is counted", func() bool { return g.aborted("stream", "client_too_slow") != before })
		g.waitForRequests(0)
		if log := g.logs(); !strings.Contains(log, `"reason":"client_too_slow"`) {
			t.Error("it is not logged")
		}
		assertNoSecrets(t, "the log", g.logs())
		// Other requests are not affected.
		if r := g.ask("/stream", tokenAgent, "hello", ""); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// startRequest sends a request with a slow response. It returns when the backend has received it; finish waits for the response.
func (g *gate) startRequest(path, body string, headers ...string) (finish func() response) {
	g.t.Helper()
	done := make(chan response, 1)
	go func() { done <- g.send(http.MethodPost, path, body, headers...) }()
	g.waitForRequests(1)
	return func() response { return <-done }
}

// When the process exits, requests have a grace period, and then get an error in the format of their client.
func TestShutdownErrorResponses(t *testing.T) {
	body := func(text string) string {
		return fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, text, tokenAgent)
	}
	chat := func(stream bool, text string) string {
		return fmt.Sprintf(`{"model":"docsgpt","stream":%v,"messages":[{"role":"user","content":%q}]}`, stream, text)
	}
	bearer := []string{"Authorization", "Bearer " + tokenAgent}
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		want       []string
	}{
		"stream, before its head": {"/stream", body("[[wait=600]]"), nil, 503, []string{`data: {"type":"error"`, `"code":"shutting_down"`}},
		"stream, begun":           {"/stream", body("[[gap=600]]"), nil, 200, []string{`data: {"type":"error"`, `"code":"shutting_down"`, "interrupted"}},
		"answer":                  {"/api/answer", body("[[wait=600]]"), nil, 503, []string{`"error":"The service is being restarted`, `"code":"shutting_down"`}},
		"v1":                      {"/v1/chat/completions", chat(false, "[[wait=600]]"), bearer, 503, []string{`{"error":{"message":`, `"code":"shutting_down"`}},
		"v1 stream":               {"/v1/chat/completions", chat(true, "[[gap=600]]"), bearer, 200, []string{`data: {"error":{"message":`, `"code":"shutting_down"`}},
	} {
		t.Run(name, func(t *testing.T) {
			for way, site := range forwardModes {
				t.Run(way, func(t *testing.T) {
					g := newGate(t)
					config := strings.Replace(g.config(fmt.Sprintf(site, g.address, "")), "\tdocsgate {\n", "\tdocsgate {\nshutdown_grace 10ms\n", 1)
					g.start()
					if err := g.load(config); err != nil {
						t.Fatal(err)
					}
					response := g.startRequest(c.path, c.body, c.headers...)
					if c.status == http.StatusOK {
						waitFor(t, "the stream has begun", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "1" })
					}
					caddymodule.Exiting(t)
					if err := caddy.Stop(); err != nil {
						t.Fatal(err)
					}
					r := response()
					g.waitForRequests(0)
					if r.status != c.status || (r.status == 503) != (r.header.Get("Retry-After") != "") {
						t.Errorf("%d %v", r.status, r.header)
					}
					for _, want := range c.want {
						if !strings.Contains(r.body, want) {
							t.Errorf("%q is not in %s", want, r.body)
						}
					}
					if log := g.logs(); strings.Contains(log, "DocsGPT request failed") {
						t.Error("the upstream is blamed")
					}
				})
			}
		})
	}
}

func TestShutdownMCPClients(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		id := g.session(tokenAgent)
		response := g.startRequest("/mcp", toolCall("[[wait=600]]"), g.mcpHeaders(tokenAgent, id)...)
		caddymodule.Exiting(t)
		caddymodule.EndRequests(0)
		r := response()
		checkRPC(t, "a call", r, http.StatusServiceUnavailable, -32000, "shutting_down")
	})
}

// A request whose body is not complete ends, too, with an error response.
func TestShutdownEndsTrickledBodies(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		c := g.dial()
		text := rawQuestion("/stream", "hello")
		writeTo(t, c, text[:len(text)-5])
		waitFor(t, "the request is tracked", func() bool { return caddymodule.Tracked() == 1 })
		caddymodule.Exiting(t)
		caddymodule.EndRequests(0)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); resp.StatusCode != 503 || !strings.Contains(string(text), "shutting_down") {
			t.Errorf("%d %s %v", resp.StatusCode, text, err)
		}
	})
}

// A reload does not end requests, not even with Caddy's grace_period, which is set in the configuration of the tests.
func TestReloadKeepsStreams(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			config := strings.Replace(g.config(fmt.Sprintf(site, g.address, "")), "grace_period 1s", "grace_period 1ms", 1)
			g.start()
			if err := g.load(config); err != nil {
				t.Fatal(err)
			}
			response := g.startRequest("/stream", fmt.Sprintf(`{"question":"[[wait=2]]","history":"[]","api_key":%q}`, tokenAgent))
			if err := g.load(strings.Replace(config, "endpoints widget", "endpoints mcp widget", 1)); err != nil {
				t.Fatal(err)
			}
			if r := response(); r.status != http.StatusOK || !strings.Contains(r.body, `{"type": "end"}`) {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}
