// Package inflight counts requests in flight and bounds them per upstream, per class of requests and per key.
//
//   - [Limiter] grants slots within [Limits]. Requests above a limit are rejected, or wait in a bounded queue, in which keys
//     and their visitors take turns (package fairqueue).
//   - [Slot] is the slot of one request in flight.
//   - [Decision] is the result of a request for a slot.
//   - [Share] is what the process may use of limits that it shares with others (package shares).
//
// The package does not depend on HTTP, Caddy or the key store.
package inflight

import (
	"sync"
	"time"

	"github.com/docsgate/docsgate/inflight/fairqueue"
)

// Limits bounds the requests of one class at one upstream. Each caller passes its own limits: callers that use the same
// upstream share the counts, and each checks its own limits.
type Limits struct {
	Total  int // most requests in flight together, at least 1
	PerKey int // most requests in flight of one key, at least 1

	// Most requests that may wait, together and of one key. Zero: requests do not wait. When the queue is full, a request takes the
	// place of the newest one of the key and visitor with most of them, unless that is its own.
	Waiting, WaitingPerKey int
}

// Request describes a request for a slot. All four names may be empty.
type Request struct {
	Upstream string
	Class    string
	Key      string

	// Namespace is that of the key: the same key in two namespaces is two keys.
	Namespace string

	// Cost is the number of concurrent requests to the upstream that it makes. It is raised to 1, and lowered to the
	// limits, so that every request fits when nothing else is in flight.
	Cost int

	// Only for the queue: the visitor of the key, and the weight of the key, which is raised to 1.
	Visitor fairqueue.Visitor
	Weight  int
}

// Limiter counts requests in flight. It only stores requests that are in flight or waiting, so its memory is bounded by
// the limits, and a later caller, such as a new configuration, sees the requests of earlier ones. It starts no goroutines.
// The zero value is ready to use; it must not be copied. It is safe for concurrent use.
//
// Waiting requests of the same visitor are served in order. The keys take turns by their weights, and so do the visitors of a key.
type Limiter struct {
	mu     sync.Mutex // guards everything, including groups and entries
	groups map[groupID]*group

	// Unused groups and entries, kept to save allocations between consecutive requests.
	spareGroups  []*group
	spareEntries []*entry

	shares map[groupID]*share // see SetShare; nil: nothing is shared with other processes
}

// Most unused groups and entries to keep.
const (
	maxSpareGroups  = 8
	maxSpareEntries = 64
)

type (
	groupID struct{ upstream, class string }

	// KeyID identifies a key.
	KeyID struct{ Namespace, Key string }
)

// group is one class at one upstream. It exists while any of its requests is in flight or waiting.
type group struct {
	id       groupID
	inFlight int // sum of costs
	entries  map[KeyID]*entry
	queue    fairqueue.Queue[*waiter] // keys are blocked while their own limit delays them
	rate     rate
	share    *share    // nil: the limits are only those of this process
	moved    time.Time // only with a share: as in entry
}

// entry is one key in a group. It exists while any of its requests is in flight or waiting.
type entry struct {
	group    *group
	key      KeyID
	inFlight int // sum of costs
	waiting  fairqueue.Key[*waiter]

	waitingCost int       // sum of the costs of waiting
	moved       time.Time // only with a share: when a waiting request last got a slot, or requests began to wait
}

// Slot is the slot of a request in flight. The zero value is empty. It belongs to one request and is not safe for
// concurrent use.
type Slot struct {
	limiter *Limiter
	entry   *entry
	cost    int
}

// Release releases the slot. It does nothing if the slot is empty, so it may be called again.
func (s *Slot) Release() {
	if s.limiter == nil {
		return
	}
	l := s.limiter
	l.mu.Lock()
	l.release(s.entry, s.cost)
	l.mu.Unlock()
	*s = Slot{}
}

// ReleaseAfter empties the slot now and releases it after d: the request has ended for its client, but not yet for the
// upstream.
func (s *Slot) ReleaseAfter(d time.Duration) {
	if s.limiter == nil {
		return
	}
	later := *s
	*s = Slot{}
	time.AfterFunc(d, later.Release)
}

// Count is the number of requests of one class at one upstream.
type Count struct {
	Upstream, Class string

	InFlight int // requests to the upstream
	Waiting  int // waiting requests
}

// Counts returns the counts of all classes with requests in flight or waiting, in no particular order.
func (l *Limiter) Counts() []Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make([]Count, 0, len(l.groups))
	for id, g := range l.groups {
		counts = append(counts, Count{Upstream: id.upstream, Class: id.class, InFlight: g.inFlight, Waiting: g.queue.Len()})
	}
	return counts
}

// enter returns the entry of a key, and creates it if necessary. The caller holds mu, and calls leave afterwards.
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
			g = &group{entries: map[KeyID]*entry{}}
		}
		g.id, g.share = id, l.shares[id]
		l.groups[id] = g
	}
	key := KeyID{r.Namespace, r.Key}
	e := g.entries[key]
	if e == nil {
		if n := len(l.spareEntries); n > 0 {
			e, l.spareEntries = l.spareEntries[n-1], l.spareEntries[:n-1]
		} else {
			e = &entry{}
		}
		e.group, e.key = g, key
		g.entries[key] = e
	}
	return e
}

// leave removes an entry without requests, and its group with the last entry. The caller holds mu.
func (l *Limiter) leave(e *entry) {
	if e.inFlight > 0 || e.waiting.Len() > 0 {
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
	g.id, g.rate, g.share = groupID{}, rate{}, nil
	if len(l.spareGroups) < maxSpareGroups {
		l.spareGroups = append(l.spareGroups, g)
	}
}

// release subtracts a cost from an entry and admits waiting requests. The caller holds mu.
func (l *Limiter) release(e *entry, cost int) {
	g := e.group
	e.inFlight -= cost
	g.inFlight -= cost
	if g.queue.Len() > 0 {
		g.rate.add(time.Now(), cost)
		e.updateBlocked()
		g.admit()
	}
	l.leave(e)
}
