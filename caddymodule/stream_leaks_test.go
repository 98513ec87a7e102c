package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/caddymodule"
)

// leakUpstream is a DocsGPT with a fixed memory: it stores nothing. The first word of a question says how its stream ends.
type leakUpstream struct {
	messages, canceled atomic.Int64

	data []byte // an event
}

func (u *leakUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/cancel") {
		u.canceled.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"success":true}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	flush := http.NewResponseController(w).Flush
	w.Header().Set("Content-Type", "text/event-stream")
	_ = flush()
	is := func(way string) bool { return strings.Contains(string(body), `"`+way+`"`) }
	if is("unnamed") && !wait(r.Context(), 20*time.Millisecond) {
		return
	}
	_, _ = fmt.Fprintf(w, "id: 0\ndata: {\"type\": \"message_id\", \"message_id\": \"7d0c1f0e-2f4b-4c7a-9a55-%012x\", \"conversation_id\": \"c\"}\n\n", u.messages.Add(1))
	_, _ = w.Write(u.data)
	_ = flush()
	switch {
	case is("end"):
		_, _ = io.WriteString(w, "id: 2\ndata: {\"type\": \"end\"}\n\n")
	case is("error"):
		_, _ = io.WriteString(w, "id: 2\ndata: {\"type\": \"error\", \"error\": \"x\"}\n\n")
	case is("cut"):
		_, _ = io.WriteString(w, "id: 2\ndata: {\"type\"")
		panic(http.ErrAbortHandler)
	case is("tool"):
		_, _ = io.WriteString(w, "data: {\"type\": \"tool_call\", \"data\": {\"tool_name\": \"memory\", \"status\": \"pending\"}}\n\n")
		_ = flush()
		<-r.Context().Done()
	case is("flood"):
		for _, err := w.Write(u.data); err == nil && r.Context().Err() == nil; _, err = w.Write(u.data) {
		}
	default:
		<-r.Context().Done()
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// leakTest runs streams until they end.
type leakTest struct {
	*gate
	t     *testing.T
	begun atomic.Int64 // streams whose answer has begun
	mu    sync.Mutex
	n     map[string]int // streams by way
}

// stream runs a stream over a connection of its own. A connection that is accepted during a reload may be closed without a response,
// as by any Caddy; then the question is sent again.
func (l *leakTest) stream(token, way, until string) {
	l.mu.Lock()
	l.n[way]++
	l.mu.Unlock()
	for try := 0; !l.tryStream(token, way, until); try++ {
		if try == 5 {
			l.t.Errorf("%s: the connection is closed without a response", way)
			return
		}
	}
}

// tryStream sends a question, and reads until a text or the end of the response. It reports false if there is no response.
func (l *leakTest) tryStream(token, way, until string) bool {
	c, err := (&net.Dialer{}).DialContext(l.t.Context(), "tcp", strings.TrimPrefix(l.urls[0], "http://"))
	if err != nil {
		l.t.Error(err)
		return true
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if way == "flood" {
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	body := fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, way, token)
	fmt.Fprintf(c, "POST /stream HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if way == "flood" { // nothing is read until the gate has ended the request
		for deadline := time.Now().Add(30 * time.Second); caddymodule.Tracked() > 0 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		return true
	}
	in := bufio.NewReader(c)
	for lines := 0; ; lines++ {
		line, err := in.ReadString('\n')
		if strings.Contains(line, `"answer"`) {
			l.begun.Add(1)
		}
		switch {
		case err != nil && lines == 0 && line == "":
			return false
		case err != nil:
			l.t.Errorf("%s: %v", way, err)
			return true
		case strings.Contains(line, until), strings.Contains(line, `"code":`):
			if !strings.Contains(line, until) {
				l.t.Errorf("%s: %s", way, line)
			}
			return true
		}
	}
}

// each runs streams concurrently.
func (l *leakTest) each(n int, do func(i int)) {
	const workers = 32
	var wg sync.WaitGroup
	var next atomic.Int64
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				do(i)
			}
		})
	}
	wg.Wait()
}

// batch runs streams, and calls end when all of them have begun.
func (l *leakTest) batch(n int, way, until string, end func()) {
	before := l.begun.Load()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { l.stream(tokenAgent, way, until) })
	}
	waitFor(l.t, "the streams have begun", func() bool { return l.begun.Load() >= before+int64(n) })
	end()
	wg.Wait()
	l.idle()
}

func (l *leakTest) idle() {
	waitFor(l.t, "no request is in flight", func() bool { return caddymodule.Tracked() == 0 })
}

// run runs about n streams, which end in every possible way.
func (l *leakTest) run(n int, site string) {
	ways := []struct{ token, way, until string }{
		{tokenAgent, "end", `"end"`},
		{tokenAgent, "error", `"error"`},
		{tokenAgent, "cut", `"code":"upstream_truncated"`},
		{tokenSource, "tool", `"code":"tools_not_allowed"`},
		{tokenAgent, "hold", `"answer"`},
		{tokenSource, "hold", `"answer"`},
		{tokenAgent, "unnamed", "HTTP/1.1"},
	}
	const batches = 4 // ways that end many streams at the same time
	size := min(n/20, 100)
	floods := max(n/500, 1)
	l.each(n-batches*size*max(n/2000, 1)-floods, func(i int) {
		w := ways[i%len(ways)]
		l.stream(w.token, w.way, w.until)
	})
	l.idle()
	for range max(n/2000, 1) {
		l.batch(size, "revoked", `"code":"key_revoked"`, func() { l.writeKeys("keys: []\n") })
		l.writeKeys(strings.Replace(keyFile(), "agent: \"{env.AGENT_ALPHA}\"}", fmt.Sprintf("agent: \"{env.AGENT_ALPHA}\", expires: %s}",
			time.Now().Add(5*time.Second).UTC().Format(time.RFC3339Nano)), 1))
		l.valid(true)
		l.batch(size, "expired", `"code":"key_revoked"`, func() {})
		l.writeKeys(keyFile())
		l.valid(true)
		l.batch(size, "reloaded, then revoked", `"code":"key_revoked"`, func() {
			if err := l.load(l.config(site)); err != nil {
				l.t.Error(err)
			}
			l.writeKeys("keys: []\n")
		})
		l.writeKeys(keyFile())
		l.valid(true)
		restore := func() {}
		l.batch(size, "shutdown", `"code":"shutting_down"`, func() {
			restore = caddymodule.ExitingNow()
			caddymodule.EndRequests(0)
		})
		restore()
	}
	for range floods {
		l.stream(tokenAgent, "flood", "")
	}
	l.idle()
}

// valid waits until the key is valid, or not.
func (l *leakTest) valid(want bool) {
	waitFor(l.t, "the keys are loaded", func() bool {
		return (l.ask("/stream", tokenAgent, "end", "").status == http.StatusOK) == want
	})
}

// usage returns the number of goroutines and the size of the heap when nothing is in flight any more.
func (l *leakTest) usage(expect int) (goroutines int, heap uint64) {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if goroutines = runtime.NumGoroutine(); goroutines <= expect {
			break
		}
	}
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
		runtime.ReadMemStats(&m)
	}
	return goroutines, m.HeapAlloc
}

// Streams that end in every possible way leave no goroutines, no memory, no requests in flight and no answers at DocsGPT behind.
func TestStreamsLeaveNothing(t *testing.T) {
	g := newGate(t)
	t.Setenv("DOCSGPT_TOKEN", session)
	u := &leakUpstream{data: []byte("id: 1\ndata: {\"type\": \"answer\", \"answer\": \"" + strings.Repeat("word ", 200) + "\"}\n\n")}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	site := "docsgate " + server.URL + ` {
	max_in_flight 1000
	max_in_flight_per_key 1000
	client_write_timeout 2s
	client_min_rate 1MiB
	limits {
		visitor_requests off
		visitor_streams off
	}
}
`
	g.start(site)
	l := &leakTest{gate: g, t: t, n: map[string]int{}}
	l.run(leakTestStreams/10, site) // pools and caches reach their size
	goroutines, heap := l.usage(0)
	l.n = map[string]int{}
	begun := time.Now()
	l.run(leakTestStreams, site)
	total := 0
	for _, n := range l.n {
		total += n
	}
	t.Logf("%d streams in %v: %v", total, time.Since(begun).Round(time.Second), l.n)
	after, heapAfter := l.usage(goroutines)
	t.Logf("goroutines %d, then %d; heap %d KiB, then %d KiB; %d answers canceled", goroutines, after, heap>>10, heapAfter>>10, u.canceled.Load())
	if total < leakTestStreams {
		t.Errorf("%d streams", total)
	}
	if after > goroutines+3 {
		stacks := make([]byte, 1<<20)
		t.Errorf("goroutines remain:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
	if heapAfter > heap+2<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", heap, heapAfter)
	}
	// An answer that could not be canceled counts for 30 seconds, which is longer than waitFor waits.
	for deadline := time.Now().Add(40 * time.Second); len(caddymodule.InFlight(server.URL)) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in flight: %v", caddymodule.InFlight(server.URL))
		}
	}
	if n := g.metric("caddy_docsgate_streams_in_flight "); n != "0" {
		t.Errorf("%s streams are counted", n)
	}
}
