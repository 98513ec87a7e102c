package caddymodule

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

// Why the gate ends a request before its response is complete.
var (
	errDisconnected   = errors.New("the client disconnected")
	errShuttingDown   = errors.New("the process is shutting down")
	errConfigUnloaded = errors.New("the configuration was unloaded")
)

// tracker tracks all requests in flight of the process, including those of old configurations, which continue after a
// reload. It is safe for concurrent use.
type tracker struct {
	mu       sync.Mutex
	first    *tracked
	timer    *time.Timer // nil: not watching
	draining bool        // new requests are rejected
	shutdown *shutdown   // nil: not shutting down
	grace    time.Duration

	exiting func() bool
	polled  []*tracked // reused by watch, which never runs concurrently
}

var requests = &tracker{exiting: caddy.Exiting, grace: DefaultShutdownGrace}

// tracked is a request in flight. Its fields are guarded by the tracker's mutex, except w, conn and http1, which are set
// before it is added.
type tracked struct {
	w     *clientWriter
	conn  *clientConn // nil: unknown
	http1 bool        // no other request shares the connection

	prev, next *tracked
	in         bool
	seen       bool                    // by a previous watch
	stop       context.CancelCauseFunc // nil while the body is read
	cause      error                   // why the gate ended it
}

// add starts to track a request. It reports false if the request must be rejected because the process is exiting.
func (k *tracker) add(t *tracked) bool {
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

// remove stops tracking a request. It must be called before the handler returns, since the response writer must not be
// used afterwards. It may be called for a request that was not added.
func (k *tracker) remove(t *tracked) {
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

// read is called when the body of a request has been read. From then on stop ends the request. It reports whether the
// request may continue.
func (k *tracker) read(t *tracked, stop context.CancelCauseFunc) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.stop = stop
	return t.cause == nil
}

// cause returns why the gate ended a request, or nil if it did not.
func (k *tracker) cause(t *tracked) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return t.cause
}

// abort ends a request, unless it was removed or already aborted.
func (k *tracker) abort(t *tracked, cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.abortLocked(t, cause)
}

var aLongTimeAgo = time.Unix(1, 0)

func (k *tracker) abortLocked(t *tracked, cause error) {
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
func (k *tracker) watch() {
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
		k.begin(0, k.grace)
	}
	for _, t := range k.polled {
		if t.conn.disconnected() {
			k.abort(t, errDisconnected)
		}
	}
	clear(k.polled)
	k.mu.Lock()
	k.timer.Reset(watchInterval)
	k.mu.Unlock()
}
