// Package inflight counts requests that are in flight and bounds them: per upstream, per class of requests, and per key.
// It knows no HTTP, no Caddy and no key store.
package inflight

import (
	"sync"
	"time"
)

// Limits bound the requests of one class at one upstream. Each caller brings its own, so two callers that share an
// upstream share the counts, and each of them checks its own limits.
type Limits struct {
	Total  int // most that may be in flight together, at least 1
	PerKey int // most that one key may have of these, at least 1

	// How many requests may wait for their turn together, and of one key. Zero: none waits.
	Waiting, WaitingPerKey int
}

// Request is what a slot is asked for. All three names may be empty.
type Request struct {
	Upstream string
	Class    string
	Key      string

	// Weight is how many requests to the upstream it makes at once. Below 1 it is 1; above one of the limits it is that
	// limit, so that every request fits when nothing else is in flight.
	Weight int
}

// Limiter counts what is in flight. Everything it keeps is about requests that are in flight or wait, so its memory is
// bounded by the limits, and a caller that comes later, such as a new configuration, finds what earlier ones have in
// flight. It runs no goroutine. The zero value is ready; it must not be copied. Safe for concurrent use.
//
// Requests of a key that wait get their turn in order, and the keys take turns.
type Limiter struct {
	mu     sync.Mutex // guards all of it, groups and entries included
	groups map[groupID]*group

	// Spare ones, to save allocations where requests come one after the other.
	spareGroups  []*group
	spareEntries []*entry
}

// How many spare groups and entries are kept.
const (
	maxSpareGroups  = 8
	maxSpareEntries = 64
)

type groupID struct{ upstream, class string }

// group is one class at one upstream. It exists while something of it is in flight or waits.
type group struct {
	id       groupID
	inFlight int // sum of weights
	waiting  int
	entries  map[string]*entry
	ready    ring // keys with a request that waits for nothing but the total
}

// entry is one key in a group. It exists while something of it is in flight or waits.
type entry struct {
	group    *group
	key      string
	inFlight int // sum of weights
	waiting  queue

	next, prev *entry // in the ring
	inRing     bool
}

// Slot is a request's place among those in flight. The zero value holds nothing. It belongs to one request and is not
// safe for concurrent use.
type Slot struct {
	limiter *Limiter
	entry   *entry
	weight  int
}

// Release gives the slot back. Without one it does nothing, so a second call does no harm.
func (s *Slot) Release() {
	if s.limiter == nil {
		return
	}
	l := s.limiter
	l.mu.Lock()
	l.release(s.entry, s.weight)
	l.mu.Unlock()
	*s = Slot{}
}

// ReleaseAfter gives the slot back when d has passed: the request is over for its client, but not for the upstream. The
// caller has no slot any more.
func (s *Slot) ReleaseAfter(d time.Duration) {
	if s.limiter == nil {
		return
	}
	later := *s
	*s = Slot{}
	time.AfterFunc(d, later.Release)
}

// Count is what one class has at one upstream.
type Count struct {
	Upstream, Class string

	InFlight int // requests to the upstream
	Waiting  int // requests that wait for their turn
}

// Counts returns the counts of all classes of which something is in flight or waits, in no order.
func (l *Limiter) Counts() []Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make([]Count, 0, len(l.groups))
	for id, g := range l.groups {
		counts = append(counts, Count{Upstream: id.upstream, Class: id.class, InFlight: g.inFlight, Waiting: g.waiting})
	}
	return counts
}

// enter returns the entry of a key, a new one where it has none. The caller holds mu, and calls leave when it is done.
func (l *Limiter) enter(r *Request) *entry {
	id := groupID{r.Upstream, r.Class}
	g := l.groups[id]
	if g == nil {
		if l.groups == nil {
			l.groups = map[groupID]*group{}
		}
		if n := len(l.spareGroups); n > 0 {
			g, l.spareGroups = l.spareGroups[n-1], l.spareGroups[:n-1]
		} else {
			g = &group{entries: map[string]*entry{}}
		}
		g.id = id
		l.groups[id] = g
	}
	e := g.entries[r.Key]
	if e == nil {
		if n := len(l.spareEntries); n > 0 {
			e, l.spareEntries = l.spareEntries[n-1], l.spareEntries[:n-1]
		} else {
			e = &entry{}
		}
		e.group, e.key = g, r.Key
		g.entries[r.Key] = e
	}
	return e
}

// leave drops an entry that holds nothing any more, and its group with the last one. The caller holds mu.
func (l *Limiter) leave(e *entry) {
	if e.inFlight > 0 || e.waiting.n > 0 {
		return
	}
	g := e.group
	delete(g.entries, e.key)
	*e = entry{}
	if len(l.spareEntries) < maxSpareEntries {
		l.spareEntries = append(l.spareEntries, e)
	}
	if len(g.entries) > 0 {
		return
	}
	delete(l.groups, g.id)
	g.id = groupID{}
	if len(l.spareGroups) < maxSpareGroups {
		l.spareGroups = append(l.spareGroups, g)
	}
}

// release takes a weight off an entry and lets waiting requests in. The caller holds mu.
func (l *Limiter) release(e *entry, weight int) {
	e.inFlight -= weight
	e.group.inFlight -= weight
	e.updateRing()
	e.group.admit()
	l.leave(e)
}
