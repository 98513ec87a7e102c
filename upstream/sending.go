package upstream

import (
	"context"
	"net/http/httptrace"
	"sync"
)

// bodyRef knows when a body is not needed any more. The connection pool may still read it after it has handed over the
// answer, and it may send it again over another connection.
type bodyRef struct {
	body Body

	mu              sync.Mutex
	begun, finished int  // connections that were got for the request, and those that the request was written to
	over            bool // the pool has handed over the answer, or an error: no further connection is tried
}

// withTrace returns a context under which the request must be sent.
func (s *bodyRef) withTrace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { s.update(func() { s.begun++ }) },
		WroteRequest: func(httptrace.WroteRequestInfo) { s.update(func() { s.finished++ }) },
	})
}

// end is called when the pool has handed over the answer or an error.
func (s *bodyRef) end() { s.update(func() { s.over = true }) }

// update takes a step, and releases the body with the last one. A connection that fails before it takes the request makes
// no last step; then the garbage collector has the body.
func (s *bodyRef) update(do func()) {
	s.mu.Lock()
	before := s.done()
	do()
	now := s.done()
	s.mu.Unlock()
	if now && !before {
		s.body.Release()
	}
}

func (s *bodyRef) done() bool { return s.over && s.begun == s.finished }
