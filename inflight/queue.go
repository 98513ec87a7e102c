package inflight

// waiter is a waiting request.
type waiter struct {
	entry    *entry
	weight   int
	limits   Limits
	admitted chan struct{} // closed when the request is in flight
	in       bool          // whether it is in flight; guarded by the limiter's mutex

	next, prev *waiter
}

// queue holds the waiting requests of one key, oldest first. The zero value is empty.
type queue struct {
	first, last *waiter
	n           int
}

func (q *queue) push(w *waiter) {
	w.prev = q.last
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.n++
}

func (q *queue) remove(w *waiter) {
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev = nil, nil
	q.n--
}

// ring holds keys that take turns. The zero value is empty.
type ring struct{ head *entry }

func (r *ring) empty() bool { return r.head == nil }

// push adds an entry at the end.
func (r *ring) push(e *entry) {
	e.inRing = true
	if r.head == nil {
		r.head, e.next, e.prev = e, e, e
		return
	}
	e.next, e.prev = r.head, r.head.prev
	e.prev.next, e.next.prev = e, e
}

func (r *ring) remove(e *entry) {
	switch {
	case e.next == e:
		r.head = nil
	case r.head == e:
		r.head = e.next
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.next, e.prev, e.inRing = nil, nil, false
}

// updateRing adds the entry to the ring of its group if its oldest waiting request fits into the key's limit, and removes
// it otherwise.
func (e *entry) updateRing() {
	w := e.waiting.first
	ready := w != nil && e.inFlight+w.weight <= w.limits.PerKey
	switch {
	case ready && !e.inRing:
		e.group.ready.push(e)
	case !ready && e.inRing:
		e.group.ready.remove(e)
	}
}

// admit admits waiting requests while they fit into the total limit, one of each key in turn. It takes constant time for
// each admitted request.
func (g *group) admit() {
	for !g.ready.empty() {
		e := g.ready.head
		w := e.waiting.first
		if g.inFlight+w.weight > w.limits.Total {
			return
		}
		e.waiting.remove(w)
		g.waiting--
		e.inFlight += w.weight
		g.inFlight += w.weight
		w.in = true
		close(w.admitted)
		g.ready.remove(e)
		e.updateRing() // at the end
	}
}
