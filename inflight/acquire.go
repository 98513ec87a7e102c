package inflight

import (
	"context"
	"time"
)

// Decision is the result of a request for a slot.
type Decision uint8

// The decisions.
const (
	Acquired     Decision = iota
	KeyLimit              // the key has too many requests in flight, or waiting
	TotalLimit            // all keys together have too many requests in flight, or waiting
	Cancelled             // the context ended while the request waited
	KeyTimeout            // the request has waited for the limit of its key until its time was over
	TotalTimeout          // the same for the limit of all keys
	Evicted               // the request waited, and had to leave the queue for another one
)

// Acquire acquires a slot for a request. It waits at most that long if the limits let requests wait, and never overtakes
// waiting requests that could be admitted before it. slot must be empty; it is filled only if the decision is [Acquired].
// Acquire takes constant time, and does not allocate once the limiter is warm, unless the request has to wait.
func (l *Limiter) Acquire(ctx context.Context, slot *Slot, r Request, limits Limits, wait time.Duration) Decision {
	cost := max(min(r.Cost, limits.PerKey, limits.Total), 1)
	l.mu.Lock()
	e := l.enter(&r)
	decision := e.tryAcquire(cost, limits)
	var w *waiter
	if decision != Acquired && wait > 0 && limits.Waiting > 0 && limits.WaitingPerKey > 0 {
		w, decision = l.enqueue(e, &r, cost, limits)
	}
	l.leave(e)
	l.mu.Unlock()
	if w != nil {
		decision = l.await(ctx, w, wait)
	}
	if decision == Acquired {
		*slot = Slot{limiter: l, entry: e, cost: cost}
	}
	return decision
}

// tryAcquire counts a request as in flight, or returns the limit that is reached. The caller holds mu.
func (e *entry) tryAcquire(cost int, limits Limits) Decision {
	g := e.group
	switch {
	case e.waiting.Len() > 0, e.inFlight+cost > limits.PerKey:
		return KeyLimit
	case g.queue.Next() != nil, g.inFlight+cost > limits.Total:
		return TotalLimit
	}
	e.inFlight += cost
	g.inFlight += cost
	return Acquired
}

// EstimatedWait returns how long the waiting requests of a class at an upstream will take to get slots, at the rate at which slots
// were released since requests began to wait. It returns 0 if that is not known.
func (l *Limiter) EstimatedWait(upstream, class string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[groupID{upstream, class}]
	if g == nil {
		return 0
	}
	return g.rate.interval * time.Duration(g.queue.Len()+1)
}
