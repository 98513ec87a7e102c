package inflight

import (
	"context"
	"time"
)

// Decision is the result of a request for a slot.
type Decision uint8

// The decisions.
const (
	Acquired   Decision = iota
	KeyLimit            // the key has too many requests in flight or waiting
	TotalLimit          // all keys together have too many requests in flight or waiting
	Cancelled           // the context ended while the request waited
)

// Acquire acquires a slot for a request. It waits at most that long if the limits let requests wait, and never overtakes
// waiting requests that could be admitted before it. slot must be empty; it is filled only if the decision is [Acquired].
// Acquire takes constant time, and does not allocate once the limiter is warm, unless the request has to wait.
func (l *Limiter) Acquire(ctx context.Context, slot *Slot, r Request, limits Limits, wait time.Duration) Decision {
	weight := max(min(r.Weight, limits.PerKey, limits.Total), 1)
	l.mu.Lock()
	e := l.enter(&r)
	w, decision := l.join(e, weight, limits, wait > 0)
	l.leave(e)
	l.mu.Unlock()
	if w != nil {
		decision = l.await(ctx, w, wait)
	}
	if decision == Acquired {
		*slot = Slot{limiter: l, entry: e, weight: weight}
	}
	return decision
}

// join counts a request as in flight, or queues it and returns its waiter, or rejects it. The caller holds mu.
func (l *Limiter) join(e *entry, weight int, limits Limits, mayWait bool) (*waiter, Decision) {
	g := e.group
	var decision Decision
	switch {
	case e.waiting.n > 0, e.inFlight+weight > limits.PerKey:
		decision = KeyLimit
	case !g.ready.empty(), g.inFlight+weight > limits.Total:
		decision = TotalLimit
	default:
		e.inFlight += weight
		g.inFlight += weight
		return nil, Acquired
	}
	switch {
	case !mayWait || limits.Waiting == 0 || limits.WaitingPerKey == 0:
		return nil, decision
	case e.waiting.n >= limits.WaitingPerKey:
		return nil, KeyLimit
	case g.waiting >= limits.Waiting:
		return nil, TotalLimit
	}
	w := &waiter{entry: e, weight: weight, limits: limits, admitted: make(chan struct{})}
	e.waiting.push(w)
	g.waiting++
	e.updateRing()
	return w, decision
}

// await waits until the request is admitted, its time is over or ctx ends.
func (l *Limiter) await(ctx context.Context, w *waiter, wait time.Duration) Decision {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.admitted:
		return Acquired
	case <-timer.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := w.entry
	if w.in {
		if ctx.Err() == nil {
			return Acquired // admitted when its time was over
		}
		l.release(e, w.weight)
		return Cancelled
	}
	decision := TotalLimit
	if e.inFlight+w.weight > w.limits.PerKey {
		decision = KeyLimit
	}
	e.waiting.remove(w)
	e.group.waiting--
	e.updateRing()
	e.group.admit() // requests behind it may fit now
	l.leave(e)
	if ctx.Err() != nil {
		return Cancelled
	}
	return decision
}
