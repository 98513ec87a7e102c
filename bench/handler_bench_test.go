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
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/caddymodule"
)

// Limits of sites: the defaults with values that one client does not reach, so that their cost is measured, and none.
const (
	defaultLimits = `{"visitor_requests": "1000000/1s", "visitor_streams": 4000}`
	noLimits      = `{"visitor_requests": "off", "visitor_streams": "off"}`
)

// newGate returns a gate without an upstream, in a Caddy without other apps.
func newGate(tb testing.TB, limits string) *caddymodule.Handler {
	tb.Helper()
	tb.Setenv("BENCH_AGENT_KEY", agentKey)
	keyFile := filepath.Join(tb.TempDir(), "keys.yaml")
	if err := writeKeys(keyFile, agentBinding); err != nil {
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
	module, err := caddy.ActiveContext().LoadModuleByID("http.handlers.docsgate",
		json.RawMessage(`{"endpoints": ["widget", "openai"], "max_history_entries": 100000, "max_history_size": 4194304, "failed_tokens": "1000000/1s", "limits": `+limits+`}`))
	if err != nil {
		tb.Fatal(err)
	}
	return module.(*caddymodule.Handler)
}

// discardWriter is a ResponseWriter that discards the body, and counts its bytes and how often they are sent before the end.
type discardWriter struct {
	header  http.Header
	status  int
	bytes   int
	flushes int
}

func (w *discardWriter) Header() http.Header    { return w.header }
func (w *discardWriter) WriteHeader(status int) { w.status = status }
func (w *discardWriter) FlushError() error      { w.flushes++; return nil }
func (w *discardWriter) Write(p []byte) (int, error) {
	w.bytes += len(p)
	return len(p), nil
}

// call is one request as Caddy passes it to a handler.
type call struct {
	w    discardWriter
	r    *http.Request
	body bytes.Reader
}

// newCall returns a request as sent by a browser, or by an OpenAI client with the good token, with Caddy's context.
func newCall(method, path string, body []byte) *call {
	c := &call{w: discardWriter{header: make(http.Header, 16)}}
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
	if path == chatPath {
		r.Header = http.Header{
			"Accept": {"application/json"}, "Accept-Encoding": {"gzip, deflate"}, "Authorization": {"Bearer " + goodToken},
			"Content-Type": {"application/json"}, "User-Agent": {"OpenAI/Python 2.8.0"},
		}
	}
	c.r = caddyhttp.PrepareRequest(r.WithContext(context.Background()), caddy.NewReplacer(), &c.w, nil)
	caddyhttp.SetVar(c.r.Context(), caddyhttp.ClientIPVarKey, "192.0.2.7") // as Caddy's server does
	return c
}

// nextHandler is a fake DocsGPT. It responds immediately, without reading the body.
type nextHandler struct {
	contentType []string
	answer      []byte
	calls       int
	keep        bool // store the body of the last request, for a check
	body        []byte
}

func (n *nextHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	n.calls++
	if n.keep {
		n.body, _ = io.ReadAll(r.Body) // a buffer in memory, which cannot fail
	}
	w.Header()["Content-Type"] = n.contentType
	_, err := w.Write(n.answer)
	return err
}

// handlerCase is a case of BenchmarkHandler.
type handlerCase struct {
	name      string
	method    string
	scenario  scenario
	unknown   bool
	status    int
	forwarded bool // to the next handler
}

var handlerCases = []handlerCase{
	{name: "widget", scenario: scenario{Path: "/stream"}, status: 200, forwarded: true},
	{name: "answer", scenario: scenario{Path: "/api/answer"}, status: 200, forwarded: true},
	{name: "completion stream", scenario: scenario{Path: chatPath, Stream: true}, status: 200, forwarded: true},
	{name: "32 KB history", scenario: scenario{Path: "/stream", History: 32 << 10}, status: 200, forwarded: true},
	{name: "1 MB history", scenario: scenario{Path: "/stream", History: 1 << 20}, status: 200, forwarded: true},
	{name: "unknown key", scenario: scenario{Path: "/stream"}, unknown: true, status: 401},
	{name: "preflight", method: http.MethodOptions, scenario: scenario{Path: "/stream"}, status: 204},
	{name: "unknown path", scenario: scenario{Path: "/api/user"}, status: 404},
}

// BenchmarkHandler measures the gate's handler: all stages from the path to the rewritten request, and relaying the response of a
// next handler that responds immediately. It includes neither network nor Caddy's server. Requests are created while the timer is
// stopped.
//
// In addition to the elapsed time it reports the CPU time of the process, including garbage collection, which is more reliable on
// a machine with other load.
func BenchmarkHandler(b *testing.B) {
	gate := newGate(b, defaultLimits)
	for _, tc := range handlerCases {
		b.Run(tc.name, func(b *testing.B) { tc.run(b, gate) })
	}
}

// BenchmarkHandlerNoLimits is the first case of BenchmarkHandler without limits. The difference is what the default limits cost.
func BenchmarkHandlerNoLimits(b *testing.B) {
	handlerCases[0].run(b, newGate(b, noLimits))
}

// batch is the number of requests that are created at a time.
const batch = 256

// prepare returns the next handler and a function that returns a new request. It checks the response to one.
func (tc *handlerCase) prepare(tb testing.TB, gate *caddymodule.Handler) (next *nextHandler, newRequest func() *call) {
	tb.Helper()
	method := tc.method
	if method == "" {
		method = http.MethodPost
	}
	next = &nextHandler{contentType: []string{"application/json"}, answer: withConversation(jsonAnswer, 1)}
	switch {
	case tc.scenario.Path == "/stream":
		next.contentType = []string{"text/event-stream"}
		next.answer = withConversation(bytes.Join(shortStream, nil), 1)
	case tc.scenario.Stream:
		next.contentType = []string{"text/event-stream"}
		next.answer = withConversation(chatStream, 1)
	}
	body, unknown := tc.scenario.body(goodToken), uint64(0)
	newRequest = func() *call {
		if tc.unknown {
			unknown++
			return newCall(method, tc.scenario.Path, tc.scenario.body(unknownToken(unknown)))
		}
		return newCall(method, tc.scenario.Path, body)
	}
	tc.check(tb, gate, next, newRequest())
	next.calls = 0
	return next, newRequest
}

func (tc *handlerCase) run(b *testing.B, gate *caddymodule.Handler) {
	next, newRequest := tc.prepare(b, gate)
	calls := make([]*call, batch)
	b.SetBytes(int64(len(tc.scenario.body(goodToken))))
	b.ReportAllocs()
	b.ResetTimer()
	var cpu time.Duration
	for done := 0; done < b.N; {
		b.StopTimer()
		n := min(batch, b.N-done)
		for i := range calls[:n] {
			calls[i] = newRequest()
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
	if last.w.status != tc.status || tc.forwarded && next.calls != b.N || !tc.forwarded && next.calls != 0 {
		b.Fatalf("status %d, want %d; %d of %d requests were forwarded", last.w.status, tc.status, next.calls, b.N)
	}
}

// cpuTime returns the user and system CPU time of this process so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// check sends one request and verifies the result.
func (tc *handlerCase) check(tb testing.TB, gate *caddymodule.Handler, next *nextHandler, c *call) {
	tb.Helper()
	next.keep = true
	defer func() { next.keep, next.body = false, nil }()
	if err := gate.ServeHTTP(&c.w, c.r, next); err != nil || c.w.status != tc.status {
		tb.Fatalf("status %d, error %v, want %d", c.w.status, err, tc.status)
	}
	if !tc.forwarded {
		return
	}
	if c.w.bytes == 0 {
		tb.Fatal("the response is empty")
	}
	if tc.scenario.Path == chatPath {
		if !bytes.Contains(next.body, []byte(strconv.Quote(tc.scenario.question()))) {
			tb.Fatalf("the next handler got %.300q", next.body)
		}
		return
	}
	var got struct{ Question, History, API_Key string } //nolint:revive // the field's name, except for case
	if err := json.Unmarshal(next.body, &got); err != nil {
		tb.Fatal(err)
	}
	if got.API_Key != agentKey || got.Question != tc.scenario.question() ||
		got.History != forwardedHistory(history(tc.scenario.History)) ||
		bytes.Contains(next.body, []byte(goodToken)) {
		tb.Fatalf("the next handler got %.300q", next.body)
	}
}
