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
	ShareLimit            // the limits would admit the request, but the share of this process does not yet
)

// Acquire acquires a slot for a request. It waits at most that long if the limits let requests wait, and never overtakes
// waiting requests that could be admitted before it. slot must be empty; it is filled only if the decision is [Acquired].
// Acquire takes constant time, and does not allocate once the limiter is warm, unless the request has to wait. After [ShareLimit] it is
// worth while to call it again with a time to wait, even for requests that do not wait for others.
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
	if e.waiting.Len() == 0 && e.fitsKey(cost, limits) && g.queue.Next() == nil && g.fitsTotal(cost, limits) {
		e.take(cost)
		return Acquired
	}
	switch {
	case e.inFlight+cost > limits.PerKey, g.share == nil && e.waiting.Len() > 0:
		return KeyLimit
	case g.share != nil && g.inFlight+cost <= limits.Total:
		g.share.ask()
		return ShareLimit
	}
	return TotalLimit
}

// take counts a request as in flight. The caller holds mu.
func (e *entry) take(cost int) {
	e.inFlight += cost
	e.group.inFlight += cost
	if s := e.group.share; s != nil {
		s.peak = max(s.peak, e.group.inFlight)
	}
}

// fitsKey reports whether the limit of the key admits a request. The caller holds mu.
func (e *entry) fitsKey(cost int, limits Limits) bool {
	if s := e.group.share; s != nil {
		return s.fitsKey(e, cost, limits)
	}
	return e.inFlight+cost <= limits.PerKey
}

// fitsTotal reports whether the limit of all keys admits a request. The caller holds mu.
func (g *group) fitsTotal(cost int, limits Limits) bool {
	if g.share != nil {
		return g.share.fitsTotal(g, cost, limits)
	}
	return g.inFlight+cost <= limits.Total
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
