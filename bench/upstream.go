package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counts are the numbers of requests that the upstream has received since its start.
type counts struct {
	Requests uint64
	Agent    uint64 // requests with the agent key and no token
	Token    uint64 // requests that contain the client's token
	Unknown  uint64 // requests with an unknown token
	Other    uint64 // requests without any of them
	Modified uint64 // sampled requests whose question or history differs from what the client sent
}

func (c counts) minus(before counts) counts {
	return counts{
		c.Requests - before.Requests, c.Agent - before.Agent, c.Token - before.Token,
		c.Unknown - before.Unknown, c.Other - before.Other, c.Modified - before.Modified,
	}
}

// sampled is the sampling interval: the stub parses one of this many requests.
const sampled = 32

// stub is a fake DocsGPT that responds immediately.
type stub struct {
	requests, agent, token, unknown, other, modified atomic.Uint64

	histories map[string]bool
	bodies    sync.Pool
}

func newStub() *stub {
	s := &stub{histories: map[string]bool{}}
	for i := range scenarios {
		sent := history(scenarios[i].History)
		s.histories[sent], s.histories[forwardedHistory(sent)] = true, true
	}
	s.bodies.New = func() any { return new(bytes.Buffer) }
	return s
}

// serveUpstream implements the role of the upstream. It prints its address, then its counts for each line of in, until in ends.
func serveUpstream(ctx context.Context, in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := newStub()
	return serve(ctx, listener, s, in, out, s.counts)
}

// serve serves HTTP. It prints its address, then the result of counts for each line of in, until in ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, in io.Reader, out io.Writer, counts func() counts) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	defer server.Close()
	go func() { _ = server.Serve(listener) }() // ends with Close
	fmt.Fprintln(out, listener.Addr())
	context.AfterFunc(ctx, func() { server.Close() })
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := json.NewEncoder(out).Encode(counts()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// serveAuth implements the role of the service of forward_auth. It prints its address, and ends with in.
func serveAuth(ctx context.Context, in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return serve(ctx, listener, authService(), in, out, func() counts { return counts{} })
}

func (s *stub) counts() counts {
	return counts{
		s.requests.Load(), s.agent.Load(), s.token.Load(), s.unknown.Load(), s.other.Load(), s.modified.Load(),
	}
}

// ServeHTTP implements http.Handler.
func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		return // whether the upstream is up
	}
	buf := s.bodies.Get().(*bytes.Buffer)
	defer s.bodies.Put(buf)
	buf.Reset()
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(r.Body); err != nil || r.ContentLength != int64(buf.Len()) {
		s.modified.Add(1)
		http.Error(w, "incomplete body", http.StatusBadRequest)
		return
	}
	body := buf.Bytes()
	n := conversationOf(body, s.requests.Add(1))
	if !s.count(r, body) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(errorStream) // the client detects a proxy that disconnected
		return
	}
	if s.requests.Load()%sampled == 1 {
		s.verify(r.URL.Path, body)
	}
	switch r.URL.Path {
	case "/api/answer":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(withConversation(jsonAnswer, n))
		return
	case chatPath:
		if bytes.Contains(body, []byte(`"stream":true`)) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write(withConversation(chatStream, n))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(withConversation(chatAnswer, n))
		return
	}
	stream(w, r, body[:min(len(body), 200)], n)
}

// count counts the request by its credential, and reports whether that is valid.
func (s *stub) count(r *http.Request, body []byte) bool {
	has := func(text string) bool {
		if bytes.Contains(body, []byte(text)) {
			return true
		}
		for _, values := range r.Header {
			for _, value := range values {
				if strings.Contains(value, text) {
					return true
				}
			}
		}
		return strings.Contains(r.RequestURI, text)
	}
	switch {
	case has(goodToken):
		s.token.Add(1)
	case has(agentKey):
		s.agent.Add(1)
	case has(unknownPrefix):
		s.unknown.Add(1)
		return false
	default:
		s.other.Add(1)
		return false
	}
	return true
}

// verify checks that the question and the history are unmodified.
func (s *stub) verify(path string, body []byte) {
	var got struct {
		Question, History string
		Messages          []struct{ Role, Content string }
	}
	err := json.Unmarshal(body, &got)
	if path == chatPath && err == nil && len(got.Messages) == 1 {
		got.Question = got.Messages[0].Content
	}
	if err != nil || !strings.HasSuffix(got.Question, "How do I install it?") || path != chatPath && !s.histories[got.History] {
		s.modified.Add(1)
	}
}

// stream responds with events. Like DocsGPT it sends the headers first.
func stream(w http.ResponseWriter, r *http.Request, start []byte, n uint64) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	flush := http.NewResponseController(w)
	send := func(piece []byte) bool {
		_, err := w.Write(withConversation(piece, n))
		return err == nil && flush.Flush() == nil
	}
	if flush.Flush() != nil {
		return
	}
	switch {
	case bytes.Contains(start, []byte(markSlow)):
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for _, event := range slowStream {
			if !send(event) {
				return
			}
			<-tick.C
		}
	case bytes.Contains(start, []byte(markTimed)):
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for _, event := range slowStream {
			now := strconv.FormatInt(time.Now().UnixNano(), 10)
			if !send(bytes.Replace(event, []byte("word "), []byte("t="+now+" word "), 1)) {
				return
			}
			<-tick.C
		}
	case bytes.Contains(start, []byte(markHold)):
		if send(bytes.Join(shortStream[:2], nil)) {
			<-r.Context().Done()
		}
	default:
		_, _ = w.Write(withConversation(bytes.Join(shortStream, nil), n))
	}
}
