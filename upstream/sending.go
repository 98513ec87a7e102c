package upstream

import (
	"context"
	"net/http/httptrace"
	"sync"
)

// bodyRef releases a body when it is no longer needed. The connection pool may still read the body after it has returned
// the response, and may send it again over another connection.
type bodyRef struct {
	body Body

	mu              sync.Mutex
	begun, finished int  // connections obtained for the request, and those that it was written to
	over            bool // the pool has returned the response or an error, and tries no further connection
}

// withTrace returns the context with which the request must be sent.
func (s *bodyRef) withTrace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { s.update(func() { s.begun++ }) },
		WroteRequest: func(httptrace.WroteRequestInfo) { s.update(func() { s.finished++ }) },
	})
}

// end must be called when the pool has returned the response or an error.
func (s *bodyRef) end() { s.update(func() { s.over = true }) }

// update changes the state, and releases the body when the state becomes done. If a connection fails before it takes the
// request, the state never becomes done, and the garbage collector frees the body.
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
