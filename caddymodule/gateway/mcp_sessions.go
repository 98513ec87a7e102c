package gateway

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/revocation"
	"github.com/docsgate/docsgate/upstream"
)

const (
	maxOpenSessions = 10_000
	endSessionTime  = 5 * time.Second // for DocsGPT to end a session
)

// sessionTable holds the newest sessions of MCP clients at a DocsGPT. DocsGPT itself keeps a session until a client ends it, and serves every
// client that knows its ID. So the gate ends the sessions of a key that is no longer valid. The table is bounded: the oldest session is
// forgotten for a new one. It is safe for concurrent use.
type sessionTable struct {
	most int

	// Locked inside of the locks of app.Counters.Uses, so it must not be held while those are called.
	mu     sync.Mutex
	byID   map[string]*list.Element // of *openSession
	oldest *list.List
}

// openSession is a session of an MCP client. It is a use of its key.
type openSession struct {
	table    *sessionTable
	uses     *revocation.Watcher
	use      revocation.Use
	id       string
	path     string
	upstream *upstream.Upstream
}

func newSessionTable(most int) *sessionTable {
	return &sessionTable{most: most, byID: map[string]*list.Element{}, oldest: list.New()}
}

// add adds the session that DocsGPT has opened for a request. Only the built-in upstream can end it later: the next handler serves
// nothing but requests.
func (t *sessionTable) add(res *response, id string) {
	h := res.client.handler
	if id == "" || res.key == nil || h.upstream == nil {
		return
	}
	s := &openSession{
		table: t, uses: h.backend.Counters().Uses, id: id, path: res.client.endpoint.Path, upstream: h.upstream,
	}
	t.forget(id)
	if old := t.insert(s); old != nil {
		old.uses.Remove(&old.use)
	}
	// The session does not depend on the token that opened it. Without a version the key is checked again: the response has taken some
	// time.
	if !s.uses.Add(&s.use, s, keys.Decision{Key: res.key}, revocation.Version{}) {
		s.Revoked()
	}
}

// insert adds a session, and returns the oldest one if it was removed for that, or nil.
func (t *sessionTable) insert(s *openSession) (old *openSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.oldest.Len() >= t.most {
		old = t.oldest.Front().Value.(*openSession)
		t.remove(old.id)
	}
	t.byID[s.id] = t.oldest.PushBack(s)
	return old
}

// forget removes a session that has ended, or that was never opened.
func (t *sessionTable) forget(id string) {
	t.mu.Lock()
	s := t.remove(id)
	t.mu.Unlock()
	if s != nil {
		s.uses.Remove(&s.use)
	}
}

// remove removes a session and returns it, or nil. The caller must hold the mutex.
func (t *sessionTable) remove(id string) *openSession {
	e := t.byID[id]
	if e == nil {
		return nil
	}
	delete(t.byID, id)
	return t.oldest.Remove(e).(*openSession)
}

// StillAllowed implements revocation.Holder. A session as such is not restricted to pages, networks or endpoints; its requests are.
func (*openSession) StillAllowed(*keys.Key) bool { return true }

// Revoked implements revocation.Holder. It ends the session at DocsGPT, in the background.
func (s *openSession) Revoked() {
	s.table.mu.Lock()
	s.table.remove(s.id)
	s.table.mu.Unlock()
	Cancellations.Go(s.end) // if too many wait, DocsGPT keeps the session, but the gate rejects its requests
}

// end ends the session at DocsGPT. An error means that DocsGPT is unavailable, or has forgotten the session in a restart.
func (s *openSession) end() {
	ctx, cancel := context.WithTimeout(context.Background(), endSessionTime)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	resp, err := s.upstream.Send(ctx, stop, upstream.Request{Method: http.MethodDelete, Path: s.path, Header: http.Header{
		docsgpt.HeaderSession: {s.id}, "Accept-Encoding": {"identity"}, "User-Agent": {""},
	}})
	if err == nil {
		resp.Body.Close()
	}
}
