package gateway

import (
	"net/http"
	"sync"
	"time"
)

// maxFlushLatency is the maximum delay of a flush.
const maxFlushLatency = 10 * time.Millisecond

// delayedFlusher delays the flush of the header of a stream until its first chunk, and of the last chunk until the upstream
// closes. Each saves a write to the network, about a tenth of the cost of a short response. A response writer is not safe
// for concurrent use, so cancelPending must be called before each use of it.
type delayedFlusher struct {
	mu    sync.Mutex
	held  bool
	flush *http.ResponseController
	timer *time.Timer
}

// scheduleFlush flushes after maxFlushLatency, unless cancelPending is called first.
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
		_ = u.flush.Flush() // the next write notices a disconnected client
	}
}

// cancelPending cancels a scheduled flush, and reports whether there was one.
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
