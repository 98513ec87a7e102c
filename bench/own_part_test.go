//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/caddymodule"
)

// newGate returns a gate with no upstream of its own, in a Caddy that serves nothing else.
func newGate(tb testing.TB) *caddymodule.Handler {
	tb.Helper()
	tb.Setenv("BENCH_AGENT_KEY", agentKey)
	keyFile := filepath.Join(tb.TempDir(), "keys.yaml")
	if err := writeKeys(keyFile); err != nil {
		tb.Fatal(err)
	}
	config := fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"level": "ERROR"}}},
		"apps": {"docsgate": {"feeds": [{"feed": "file", "path": %q}]}}
	}`, keyFile)
	if err := caddy.Load([]byte(config), true); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			tb.Error(err)
		}
	})
	module, err := caddy.ActiveContext().LoadModuleByID("http.handlers.docsgate", json.RawMessage(`{}`))
	if err != nil {
		tb.Fatal(err)
	}
	return module.(*caddymodule.Handler)
}

// answerWriter is the client's side: it keeps what a check needs and nothing else.
type answerWriter struct {
	header http.Header
	status int
	bytes  int
}

func (w *answerWriter) Header() http.Header    { return w.header }
func (w *answerWriter) WriteHeader(status int) { w.status = status }
func (w *answerWriter) FlushError() error      { return nil }
func (w *answerWriter) Write(p []byte) (int, error) {
	w.bytes += len(p)
	return len(p), nil
}

// call is one request as Caddy gives it to a handler.
type call struct {
	w    answerWriter
	r    *http.Request
	body bytes.Reader
}

// newCall makes the request that a browser would send, and its surroundings in Caddy.
func newCall(method, path string, body []byte) *call {
	c := &call{w: answerWriter{header: make(http.Header, 16)}}
	c.body.Reset(body)
	r := &http.Request{
		Method: method, URL: &url.URL{Path: path}, RequestURI: path, Host: "ask.example.com", RemoteAddr: "192.0.2.7:40112",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(&c.body), ContentLength: int64(len(body)),
		Header: http.Header{
			"Accept": {"*/*"}, "Accept-Encoding": {"gzip, deflate, br, zstd"}, "Accept-Language": {"en-US,en;q=0.9"},
			"Connection": {"keep-alive"}, "Content-Type": {"application/json"}, "Origin": {"https://docs.example.com"},
			"Referer": {"https://docs.example.com/"}, "Sec-Fetch-Mode": {"cors"},
			"User-Agent": {userAgent},
		},
	}
	if method == http.MethodOptions {
		r.Body, r.ContentLength = http.NoBody, 0
		r.Header["Access-Control-Request-Method"] = []string{http.MethodPost}
		r.Header["Access-Control-Request-Headers"] = []string{"content-type"}
	}
	c.r = caddyhttp.PrepareRequest(r.WithContext(context.Background()), caddy.NewReplacer(), &c.w, nil)
	return c
}

// nextHandler stands for DocsGPT. It reads nothing but the request's head and answers at once.
type nextHandler struct {
	contentType []string
	answer      []byte
	calls       int
	keep        bool // the body of the last request, for a check
	body        []byte
}

func (n *nextHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	n.calls++
	if n.keep {
		n.body, _ = io.ReadAll(r.Body) // of a buffer in memory
	}
	w.Header()["Content-Type"] = n.contentType
	_, err := w.Write(n.answer)
	return err
}

// ownPart is a case of BenchmarkOwnPart.
type ownPart struct {
	name    string
	method  string
	kind    kind
	unknown bool
	status  int
	passes  bool // the next handler gets it
}

// BenchmarkOwnPart measures what the gate itself does for a request: all its steps from the path to the rewritten
// request, and relaying the answer of a next handler that answers at once. There is no network and nothing of Caddy's
// server in it. Requests and their surroundings are made while the clock stands.
//
// Besides the time that passed it reports the CPU time that the process took in it, garbage collection included. That
// is the figure to look at on a machine that does other things too.
func BenchmarkOwnPart(b *testing.B) {
	gate := newGate(b)
	stream, answer := "/stream", "/api/answer"
	for _, tc := range []ownPart{
		{name: "widget", kind: kind{Path: stream}, status: 200, passes: true},
		{name: "answer", kind: kind{Path: answer}, status: 200, passes: true},
		{name: "history of 32 KB", kind: kind{Path: stream, History: 32 << 10}, status: 200, passes: true},
		{name: "history of 1 MB", kind: kind{Path: stream, History: 1 << 20}, status: 200, passes: true},
		{name: "unknown key", kind: kind{Path: stream}, unknown: true, status: 401},
		{name: "preflight", method: http.MethodOptions, kind: kind{Path: stream}, status: 204},
		{name: "unknown path", kind: kind{Path: "/api/user"}, status: 404},
	} {
		b.Run(tc.name, func(b *testing.B) { tc.run(b, gate) })
	}
}

// batch is how many requests are made at a time.
const batch = 256

func (tc *ownPart) run(b *testing.B, gate *caddymodule.Handler) {
	method := tc.method
	if method == "" {
		method = http.MethodPost
	}
	next := &nextHandler{contentType: []string{"application/json"}, answer: withConversation(jsonAnswer, 1)}
	if tc.kind.Path == "/stream" {
		next.contentType = []string{"text/event-stream"}
		next.answer = withConversation(bytes.Join(shortStream, nil), 1)
	}
	body, unknown := tc.kind.body(goodToken), uint64(0)
	make1 := func() *call {
		if tc.unknown {
			unknown++
			return newCall(method, tc.kind.Path, tc.kind.body(unknownToken(unknown)))
		}
		return newCall(method, tc.kind.Path, body)
	}
	tc.check(b, gate, next, make1())
	next.calls = 0

	calls := make([]*call, batch)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	var cpu time.Duration
	for done := 0; done < b.N; {
		b.StopTimer()
		n := min(batch, b.N-done)
		for i := range calls[:n] {
			calls[i] = make1()
		}
		b.StartTimer()
		before := cpuTime(b)
		for _, c := range calls[:n] {
			if err := gate.ServeHTTP(&c.w, c.r, next); err != nil {
				b.Fatal(err)
			}
		}
		cpu += cpuTime(b) - before
		b.StopTimer()
		done += n
	}
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
	last := calls[(b.N-1)%batch]
	if last.w.status != tc.status || tc.passes && next.calls != b.N || !tc.passes && next.calls != 0 {
		b.Fatalf("status %d, want %d; %d of %d requests were passed on", last.w.status, tc.status, next.calls, b.N)
	}
}

// cpuTime is the CPU time that this process has taken so far, in user and system.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// check makes sure that what is measured is right.
func (tc *ownPart) check(b *testing.B, gate *caddymodule.Handler, next *nextHandler, c *call) {
	b.Helper()
	next.keep = true
	defer func() { next.keep, next.body = false, nil }()
	if err := gate.ServeHTTP(&c.w, c.r, next); err != nil || c.w.status != tc.status {
		b.Fatalf("status %d, error %v, want %d", c.w.status, err, tc.status)
	}
	if !tc.passes {
		return
	}
	var got struct{ Question, History, API_Key string } //nolint:revive // the name of the member, but for case
	if err := json.Unmarshal(next.body, &got); err != nil {
		b.Fatal(err)
	}
	if got.API_Key != agentKey || got.Question != tc.kind.question() || got.History != history(tc.kind.History) ||
		bytes.Contains(next.body, []byte(goodToken)) {
		b.Fatalf("the next handler got %.300q", next.body)
	}
	if c.w.bytes == 0 {
		b.Fatal("the client got no answer")
	}
}
