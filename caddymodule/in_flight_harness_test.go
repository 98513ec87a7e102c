package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/caddymodule"
)

// holdingUpstream is an upstream that responds to questions with the word "hold" when finish receives a value, and to all others
// immediately.
type holdingUpstream struct {
	*httptest.Server
	finish chan struct{} // receives a value for each held request
	reply  string        // to calls of tools
}

func newHoldingUpstream(t *testing.T, g *gate) *holdingUpstream {
	h := &holdingUpstream{finish: make(chan struct{})}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	t.Cleanup(h.CloseClientConnections)
	g.address = strings.TrimPrefix(h.URL, "http://")
	return h
}

func (h *holdingUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if strings.HasPrefix(r.URL.Path, "/mcp") {
		h.serveMCP(w, string(body))
		return
	}
	held := strings.Contains(string(body), "hold")
	stream := r.URL.Path == "/stream"
	chunks := strings.Contains(string(body), `"stream":true`)
	switch {
	case stream, chunks:
		w.Header().Set("Content-Type", "text/event-stream")
		first := widgetAnswer
		if chunks {
			first = chunkOne
		}
		fmt.Fprint(w, first)
		_ = http.NewResponseController(w).Flush()
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	if held {
		select {
		case <-h.finish:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case stream:
		fmt.Fprint(w, widgetEnd)
	case chunks:
		fmt.Fprint(w, chunkDone)
	case strings.HasPrefix(r.URL.Path, "/api/sources/"):
		fmt.Fprint(w, `{"chunks":[]}`)
	case r.URL.Path == "/api/search":
		fmt.Fprint(w, `[]`)
	default:
		fmt.Fprint(w, `{"answer":"done","object":"list","data":[]}`)
	}
}

func (h *holdingUpstream) serveMCP(w http.ResponseWriter, body string) {
	reply := h.reply
	if strings.Contains(body, `"initialize"`) {
		w.Header().Set("Mcp-Session-Id", "3f2b8c1d9e4a4f6ab7c8d9e0f1a2b3c4")
		reply = `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"test","version":"1"}}}`
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.HasPrefix(reply, "event:") {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	fmt.Fprint(w, reply)
}

// pendingRequest is a request in flight.
type pendingRequest struct {
	cancel context.CancelFunc
	done   chan response // receives the complete response
}

// rawQuestion sends a question and returns when its stream has begun, or, on other paths, when the upstream has the request
// counted.
func (g *gate) startQuestion(url, path, token, question string) *pendingRequest {
	g.t.Helper()
	ctx, cancel := context.WithCancel(g.t.Context())
	body := fmt.Sprintf(`{"question":%q,"api_key":%q}`, question, token)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a := &pendingRequest{cancel: cancel, done: make(chan response, 1)}
	g.t.Cleanup(cancel)
	begun := make(chan error, 1)
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			begun <- err
			return
		}
		defer resp.Body.Close()
		in := bufio.NewReader(resp.Body)
		_, err = in.Peek(1)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		begun <- err
		text, _ := io.ReadAll(in)
		a.done <- response{resp.StatusCode, resp.Header, string(text)}
	}()
	if path == "/stream" {
		if err := <-begun; err != nil {
			g.t.Fatalf("a stream did not begin: %v", err)
		}
	}
	return a
}

// inFlight returns the number of requests in flight at the gate's upstream.
func (g *gate) inFlight(class string, builtIn bool) int {
	upstream := ""
	if builtIn {
		upstream = "http://" + g.address
	}
	return caddymodule.InFlight(upstream)[class].InFlight
}

// testHoldingModes runs a test in each forward mode, with a holdingUpstream.
func testHoldingModes(t *testing.T, options string, test func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			h := newHoldingUpstream(t, g)
			g.start(fmt.Sprintf(site, g.address, options))
			builtIn := name == "built-in"
			test(t, g, h, builtIn)
			waitFor(t, "nothing is in flight", func() bool { return len(caddymodule.InFlight(map[bool]string{true: h.URL}[builtIn])) == 0 })
		})
	}
}

// checkBusy checks an error response because of a limit on requests in flight, in the format of the clients of a path.
func checkBusy(t *testing.T, path string, r response, status int, code string) {
	t.Helper()
	if r.status != status || r.header.Get("Retry-After") != "5" {
		t.Errorf("%s: status %d, want %d, Retry-After %q", path, r.status, status, r.header.Get("Retry-After"))
	}
	checkErrorFormat(t, path, r, code)
	assertNoSecrets(t, "the rejection", r.body)
}
