package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// watchInterval is how often the connections of requests in flight are looked at.
const watchInterval = time.Second

// Why the gate ends a request before its response is complete.
var (
	errDisconnected   = errors.New("the client disconnected")
	errShuttingDown   = errors.New("the process is shutting down")
	errConfigUnloaded = errors.New("the configuration ends")
)

// tracker knows all requests in flight, of every gate of the process: those of an old configuration, too, which go on
// after a reload. It is safe for concurrent use.
type tracker struct {
	mu       sync.Mutex
	first    *tracked
	timer    *time.Timer // nil: nothing is watched
	draining bool        // no further requests
	shutdown *shutdown   // nil: the process goes on
	grace    time.Duration

	exiting func() bool
	polled  []*tracked // by watch, which runs once at a time
}

var requests = &tracker{exiting: caddy.Exiting, grace: DefaultShutdownGrace}

// tracked is a request in flight. Its fields are the tracker's, but for those that are set before it is added.
type tracked struct {
	w     *clientWriter
	conn  *clientConn // nil: not known
	http1 bool        // the connection is this request's alone

	prev, next *tracked
	in         bool
	seen       bool                    // by watch
	stop       context.CancelCauseFunc // nil: the body is still read
	cause      error                   // why the gate ended it
}

// add begins to track a request. It reports whether the request may go on; the process may be about to end.
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

// remove must be called before the handler returns: its response writer is not used afterwards.
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

// read is called when a request's body has been read. From then on stop ends the request. It reports whether the request
// may go on.
func (k *tracker) read(t *tracked, stop context.CancelCauseFunc) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t.stop = stop
	return t.cause == nil
}

// cause returns why the gate ended a request; nil: it did not.
func (k *tracker) cause(t *tracked) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return t.cause
}

// abort ends a request.
func (k *tracker) abort(t *tracked, cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.abortLocked(t, cause)
}

var longAgo = time.Unix(1, 0)

func (k *tracker) abortLocked(t *tracked, cause error) {
	if !t.in || t.cause != nil {
		return
	}
	t.cause = cause
	if t.stop != nil {
		t.stop(cause)
		return
	}
	// Reading the body ends at once. Not later: net/http would take it for the client's end.
	_ = http.NewResponseController(t.w).SetReadDeadline(longAgo)
}

// watch looks for clients that have disconnected. A request has a second before it is looked at for the first time, which
// most never see.
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
	if exiting { // under a configuration without docsgate, so that no event said so
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
