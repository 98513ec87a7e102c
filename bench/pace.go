package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pacedConnections is the number of connections of a load with a rate, so that a delayed response does not delay the next request.
const pacedConnections = 64

// schedule is when requests are due: rate times a second, whether or not earlier ones have a response.
type schedule struct {
	start time.Time
	rate  float64
}

// wait waits until the nth request is due. It returns the time from which its latency counts: that at which it was due if all clients
// were busy then, and otherwise the current one, since the delay of the timer is the client's. It reports false when ctx has ended.
func (s schedule) wait(ctx context.Context, n uint64) (time.Time, bool) {
	due := s.start.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
	wait := time.Until(due)
	if wait <= 0 {
		return due, ctx.Err() == nil
	}
	err := pause(ctx, wait)
	return time.Now(), err == nil
}

// paced calls send rate times a second, until the time is over or ctx ends. At most workers calls run at the same time. It returns
// the number of calls.
func paced(ctx context.Context, rate float64, length time.Duration, workers int, send func(n int, began time.Time)) int {
	var next, sent atomic.Int64
	var running sync.WaitGroup
	s := schedule{time.Now(), rate}
	total := int64(rate * length.Seconds())
	for range workers {
		running.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= total {
					return
				}
				began, ok := s.wait(ctx, uint64(n))
				if !ok {
					return
				}
				send(int(n), began)
				sent.Add(1)
			}
		})
	}
	running.Wait()
	return int(sent.Load())
}

// latencies collects durations in seconds. It is safe for concurrent use.
type latencies struct {
	mu  sync.Mutex
	all []float64
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d.Seconds())
}

// take returns the durations so far, sorted, and forgets them.
func (l *latencies) take() []float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	slices.Sort(all)
	return all
}

// quantile returns a quantile of sorted numbers, 0 if there are none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
