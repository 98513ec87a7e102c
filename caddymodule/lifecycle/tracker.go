package lifecycle

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// watchInterval is how often the connections of requests in flight are polled.
const watchInterval = time.Second

// Why a request is ended before its response is complete.
var (
	ErrDisconnected   = errors.New("the client disconnected")
	ErrShuttingDown   = errors.New("the process is shutting down")
	ErrConfigUnloaded = errors.New("the configuration was unloaded")
)

// Tracker tracks all requests in flight of the process, including those of old configurations, which continue after a
// reload. It is safe for concurrent use.
type Tracker struct {
	mu       sync.Mutex
	first    *Request
	timer    *time.Timer // nil: not watching
	draining bool        // new requests are rejected
	shutdown *shutdown   // nil: not shutting down
	grace    time.Duration

	exiting func() bool
	polled  []*Request // reused by watch, which never runs concurrently
}

// Requests tracks the requests of the process.
var Requests = &Tracker{exiting: caddy.Exiting, grace: DefaultShutdownGrace}

// Request is a request in flight. Its fields are guarded by the tracker's mutex, except w, conn and http1, which are set
// before it is added.
type Request struct {
	w     *ClientWriter
	conn  *clientConn // nil: unknown
	http1 bool        // no other request shares the connection

	prev, next *Request
	in         bool
	waiting    bool                    // for its turn, so that a shutdown ends it without grace period
	seen       bool                    // by a previous watch
	stop       context.CancelCauseFunc // nil while the body is read
	cause      error                   // why the gate ended it
}

// Add starts to track a request with its response writer. It reports false if the request must be rejected because the process is exiting.
func (k *Tracker) Add(t *Request, w *ClientWriter, r *http.Request) bool {
	t.w, t.conn, t.http1 = w, clientConnOf(r.Context()), r.ProtoMajor == 1
	return k.add(t)
}

func (k *Tracker) add(t *Request) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.draining {
		return false
	}
	t.in, t.next = true, k.first
	if k.first != nil {
		k.first.prev = t
	}
	k.first = t
	if k.timer == nil {
		k.timer = time.AfterFunc(watchInterval, k.watch)
	}
	return true
}

// Remove stops tracking a request. It must be called before the handler returns, since the response writer must not be
// used afterwards. It may be called for a request that was not added.
func (k *Tracker) Remove(t *Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !t.in {
		return
	}
	if t.in = false; t.prev != nil {
		t.prev.next = t.next
	} else {
		k.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}

// BodyRead is called when the body of a request has been read. From then on stop ends the request. It reports whether the
// request may continue.
func (k *Tracker) BodyRead(t *Request, stop context.CancelCauseFunc) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.stop = stop
	return t.cause == nil
}

// BeginWait is called before a request that is not yet forwarded waits for its turn. Until EndWait, a shutdown ends the request as
// soon as it rejects new ones. It reports false if that is the case already.
func (k *Tracker) BeginWait(t *Request) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.waiting = !k.draining
	return t.waiting
}

// EndWait undoes BeginWait.
func (k *Tracker) EndWait(t *Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.waiting = false
}

// Cause returns why the tracker ended a request, or nil if it did not.
func (k *Tracker) Cause(t *Request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return t.cause
}

// abort ends a request, unless it was removed or already aborted.
func (k *Tracker) abort(t *Request, cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.abortLocked(t, cause)
}

var aLongTimeAgo = time.Unix(1, 0)

func (k *Tracker) abortLocked(t *Request, cause error) {
	if !t.in || t.cause != nil {
		return
	}
	t.cause = cause
	if t.stop != nil {
		t.stop(cause)
		return
	}
	// Interrupts reading the body. After the body was read, net/http would treat the deadline as a disconnect.
	_ = http.NewResponseController(t.w).SetReadDeadline(aLongTimeAgo)
}

// watch polls for clients that have disconnected. It polls a request only from its second run on, so that most requests
// end before they are polled.
func (k *Tracker) watch() {
	k.mu.Lock()
	if k.first == nil {
		k.timer = nil
		k.mu.Unlock()
		return
	}
	exiting := k.shutdown == nil && k.exiting()
	k.polled = k.polled[:0]
	for t := k.first; t != nil; t = t.next {
		if t.seen && t.http1 && t.stop != nil && t.cause == nil && t.conn != nil {
			k.polled = append(k.polled, t)
		}
		t.seen = true
	}
	k.mu.Unlock()
	if exiting { // the configuration has no docsgate app that handles the event
		k.Begin(0, k.grace)
	}
	for _, t := range k.polled {
		if t.conn.disconnected() {
			k.abort(t, ErrDisconnected)
		}
	}
	clear(k.polled)
	k.mu.Lock()
	k.timer.Reset(watchInterval)
	k.mu.Unlock()
}

// IsDraining reports whether new requests are rejected because the process is exiting.
func (k *Tracker) IsDraining() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.draining
}

// Len returns the number of requests in flight.
func (k *Tracker) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for t := k.first; t != nil; t = t.next {
		n++
	}
	return n
}

// SetExiting replaces the function that reports whether the process is exiting. restore undoes it, and cancels a shutdown
// that has begun. It is for tests.
func (k *Tracker) SetExiting(exiting func() bool) (restore func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.exiting
	k.exiting = exiting
	return func() {
		k.mu.Lock()
		k.exiting = before
		k.mu.Unlock()
		k.resume(DefaultShutdownGrace)
	}
}
