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

// holding is an upstream that answers questions with the word "hold" in them only when it is told to, and all others at
// once.
type holding struct {
	*httptest.Server
	finish chan struct{} // one for each held request
}

func hold(t *testing.T, g *gate) *holding {
	h := &holding{finish: make(chan struct{})}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	t.Cleanup(h.CloseClientConnections)
	g.address = strings.TrimPrefix(h.URL, "http://")
	return h
}

func (h *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	held := strings.Contains(string(body), "hold")
	stream := r.URL.Path == "/stream"
	if stream {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"type\": \"answer\", \"answer\": \"begun\"}\n\n")
		_ = http.NewResponseController(w).Flush()
	} else {
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
		fmt.Fprint(w, "data: {\"type\": \"end\"}\n\n")
	case strings.HasPrefix(r.URL.Path, "/api/sources/"):
		fmt.Fprint(w, `{"chunks":[]}`)
	case r.URL.Path == "/api/search":
		fmt.Fprint(w, `[]`)
	default:
		fmt.Fprint(w, `{"answer":"done","object":"list","data":[]}`)
	}
}

// asking is a request that is under way.
type asking struct {
	cancel context.CancelFunc
	done   chan reply // gets the response when it was read whole
}

// question sends a question and returns when its stream has begun, or, on other paths, when the upstream has the request
// counted.
func (g *gate) question(url, path, token, question string) *asking {
	g.t.Helper()
	ctx, cancel := context.WithCancel(g.t.Context())
	body := fmt.Sprintf(`{"question":%q,"api_key":%q}`, question, token)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a := &asking{cancel: cancel, done: make(chan reply, 1)}
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
		a.done <- reply{resp.StatusCode, resp.Header, string(text)}
	}()
	if path == "/stream" {
		if err := <-begun; err != nil {
			g.t.Fatalf("a stream did not begin: %v", err)
		}
	}
	return a
}

// inFlight is what the gate counts at its upstream.
func (g *gate) inFlight(class string, own bool) int {
	upstream := ""
	if own {
		upstream = "http://" + g.address
	}
	return caddymodule.InFlight(upstream)[class].InFlight
}

// holdingWays runs a test with each way of forwarding to an upstream that holds requests.
func holdingWays(t *testing.T, options string, test func(t *testing.T, g *gate, h *holding, own bool)) {
	t.Helper()
	for name, site := range ways {
		t.Run(name, func(t *testing.T) {
			g := prepare(t)
			h := hold(t, g)
			g.start(fmt.Sprintf(site, g.address, options))
			own := strings.HasPrefix(name, "own")
			test(t, g, h, own)
			until(t, "nothing is in flight", func() bool { return len(caddymodule.InFlight(map[bool]string{true: h.URL}[own])) == 0 })
		})
	}
}

// checkBusy checks a rejection because of the limits, on an endpoint whose clients read the shape of that path.
func checkBusy(t *testing.T, path string, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.header.Get("Retry-After") != "5" {
		t.Errorf("%s: status %d, want %d, Retry-After %q", path, r.status, status, r.header.Get("Retry-After"))
	}
	checkShape(t, path, r, code)
	noSecrets(t, "the rejection", r.body)
}
