package inflight

import (
	"context"
	"time"
)

// Decision is what became of a request for a slot.
type Decision uint8

// The decisions.
const (
	Acquired   Decision = iota
	KeyLimit            // the key has too many in flight, or too many that wait
	TotalLimit          // all keys together have too many
	Cancelled           // the context ended while the request waited
)

// Acquire takes a slot for a request, and waits at most that long for it where the limits let requests wait. A request
// never overtakes others that wait and could be let in before it. slot must be empty; it is filled only with [Acquired].
// It takes constant time, and allocates nothing once the limiter is warm, unless the request has to wait.
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

// join counts a request as in flight, or makes it wait, which returns a waiter, or refuses it. The caller holds mu.
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

// await waits for a waiter's turn.
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
			return Acquired // its turn came together with the end of its time
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
	e.group.admit() // others may have waited behind it
	l.leave(e)
	if ctx.Err() != nil {
		return Cancelled
	}
	return decision
}
