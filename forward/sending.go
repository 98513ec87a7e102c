package forward

import (
	"context"
	"net/http/httptrace"
	"sync"
)

// sending knows when a body is not needed any more. The connection pool may still read it after it has handed over the
// answer, and it may send it again over another connection.
type sending struct {
	body Body

	mu              sync.Mutex
	begun, finished int  // connections that were got for the request, and those that the request was written to
	over            bool // the pool has handed over the answer, or an error: no further connection is tried
}

// watch returns a context under which the request must be sent.
func (s *sending) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { s.step(func() { s.begun++ }) },
		WroteRequest: func(httptrace.WroteRequestInfo) { s.step(func() { s.finished++ }) },
	})
}

// end is called when the pool has handed over the answer or an error.
func (s *sending) end() { s.step(func() { s.over = true }) }

// step takes a step, and releases the body with the last one. A connection that fails before it takes the request makes
// no last step; then the garbage collector has the body.
func (s *sending) step(do func()) {
	s.mu.Lock()
	before := s.settled()
	do()
	now := s.settled()
	s.mu.Unlock()
	if now && !before {
		s.body.Release()
	}
}

func (s *sending) settled() bool { return s.over && s.begun == s.finished }
