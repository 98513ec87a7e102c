package app

import (
	"context"
	"sync/atomic"
	"time"
)

// maxStartWait bounds how long a request waits for the start of its configuration, which takes some milliseconds. Feeds are loaded before.
const maxStartWait = 10 * time.Second

// startSignal lets requests wait until the app has started. Caddy starts apps in no defined order, so a server may accept requests before;
// they would be rejected, because the keys that the gate issues, quotas and signed IDs are not there yet.
type startSignal struct {
	started atomic.Bool
	done    chan struct{} // closed when the app has started; set by init
}

func (s *startSignal) init() { s.done = make(chan struct{}) }

func (s *startSignal) send() {
	s.started.Store(true)
	close(s.done)
}

// AwaitStart returns when the configuration has started or is rejected, when ctx ends, or after 10 s. It is safe for concurrent use.
func (a *App) AwaitStart(ctx context.Context) {
	if a.start.started.Load() {
		return
	}
	timer := time.NewTimer(maxStartWait)
	defer timer.Stop()
	select {
	case <-a.start.done:
	case <-a.ctx.Done():
	case <-ctx.Done():
	case <-timer.C:
	}
}
