package caddymodule

import (
	"net/http"
	"sync"
	"time"
)

// maxFlushLatency is how long something written may wait for what most often follows at once. A client that waits for just
// that gets it after this time.
const maxFlushLatency = 10 * time.Millisecond

// delayedFlusher is what has been written to a client and not yet sent: the head of a stream, which waits for its first piece,
// or the last piece, which waits for the upstream to close. Each saves a write to the network, about a tenth of what a
// short answer costs. A response writer is not safe for concurrent use, so whoever wants to use it must take this first.
type delayedFlusher struct {
	mu    sync.Mutex
	held  bool
	flush *http.ResponseController
	timer *time.Timer
}

// scheduleFlush keeps what was written back for a moment.
func (u *delayedFlusher) scheduleFlush(flush *http.ResponseController) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held, u.flush = true, flush
	if u.timer == nil {
		u.timer = time.AfterFunc(maxFlushLatency, u.delayedFlush)
	} else {
		u.timer.Reset(maxFlushLatency)
	}
}

func (u *delayedFlusher) delayedFlush() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.held {
		u.held = false
		_ = u.flush.Flush() // a client that is gone is noticed by the next write
	}
}

// cancelPending tells whether something is held, which it is not any more.
func (u *delayedFlusher) cancelPending() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	held := u.held
	if held {
		u.held = false
		u.timer.Stop()
	}
	return held
}
