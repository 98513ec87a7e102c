package inflight

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/inflight/fairqueue"
)

// waiter is a waiting request. Its fields are guarded by the limiter's mutex; decision may be read once done is closed.
type waiter struct {
	entry    *entry
	item     fairqueue.Item[*waiter]
	cost     int
	limits   Limits
	done     chan struct{} // closed when the request is admitted or evicted
	decision Decision
}

// leaveWith ends the waiting of a request that is no longer in the queue. The caller holds mu.
func (w *waiter) leaveWith(d Decision) {
	w.decision = d
	close(w.done)
}

// enqueue lets a request wait, and returns its waiter. If the queue is full, it evicts another request, or rejects this one. The
// caller holds mu.
func (l *Limiter) enqueue(e *entry, r *Request, cost int, limits Limits) (*waiter, Decision) {
	g := e.group
	if g.queue.Len() == 0 {
		g.rate.begin(time.Now())
	}
	w := &waiter{entry: e, cost: cost, limits: limits, done: make(chan struct{})}
	w.item.Value = w
	g.queue.Push(&w.item, &e.waiting, max(r.Weight, 1), r.Visitor, cost)
	e.waitingCost += cost
	if g.share != nil {
		e.noteWaiting(time.Now())
	}
	e.updateBlocked()
	// With two evictions for each request, a queue that a new configuration has made smaller shrinks.
	rejected := Acquired
	for range 2 {
		victim, limit := g.overflow(w)
		if victim == nil {
			break
		}
		g.remove(victim)
		if victim == w {
			rejected = limit
			continue
		}
		victim.leaveWith(Evicted)
		if victim.entry != e { // the caller leaves e
			l.leave(victim.entry)
		}
	}
	g.admit() // requests behind an evicted one may fit now; this one, too
	if rejected != Acquired {
		return nil, rejected
	}
	return w, Acquired
}

// overflow returns a request that must leave the queue because of the limits of w, the newest one, and the limit that requires it. It
// returns nil if there is none. The caller holds mu.
func (g *group) overflow(w *waiter) (*waiter, Decision) {
	switch key := &w.entry.waiting; {
	case key.Len() > w.limits.WaitingPerKey:
		return g.queue.LongestOf(key, &w.item).Value, KeyLimit
	case g.queue.Len() > w.limits.Waiting:
		return g.queue.Longest(&w.item).Value, TotalLimit
	}
	return nil, Acquired
}

// remove removes a request from the queue. The caller holds mu.
func (g *group) remove(w *waiter) {
	g.queue.Remove(&w.item)
	w.entry.waitingCost -= w.cost
	w.entry.updateBlocked()
}

// updateBlocked keeps a key out of the turns while its next waiting request does not fit into the key's limit. The caller holds mu.
func (e *entry) updateBlocked() {
	q := &e.group.queue
	next := q.NextOf(&e.waiting)
	q.SetBlocked(&e.waiting, next != nil && !e.fitsKey(next.Value.cost, next.Value.limits))
}

// admit admits waiting requests while they fit into the total limit, in turn. It takes constant time for each admitted request.
// The caller holds mu.
func (g *group) admit() {
	for {
		item := g.queue.Next()
		if item == nil || !g.fitsTotal(item.Value.cost, item.Value.limits) {
			return
		}
		w := item.Value
		g.queue.Take(item)
		w.entry.waitingCost -= w.cost
		w.entry.take(w.cost)
		if g.share != nil {
			now := time.Now()
			w.entry.moved, g.moved = now, now
		}
		w.leaveWith(Acquired)
		w.entry.updateBlocked()
	}
}

// await waits until the request is admitted or evicted, its time is over or ctx ends.
func (l *Limiter) await(ctx context.Context, w *waiter, wait time.Duration) Decision {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.done:
		return w.decision
	case <-timer.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := w.entry
	switch {
	case w.item.Queued():
	case w.decision == Acquired && ctx.Err() != nil:
		l.release(e, w.cost)
		return Cancelled
	default:
		return w.decision // at the same time
	}
	decision := TotalTimeout
	if !e.fitsKey(w.cost, w.limits) {
		decision = KeyTimeout
	}
	g := e.group
	g.remove(w)
	g.admit() // requests behind it may fit now
	l.leave(e)
	if ctx.Err() != nil {
		return Cancelled
	}
	return decision
}
