package ratelimit

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// maxClass is the size class of the most visitors that a key can have.
	maxClass = 32

	// minKeys is the number of keys that a shard keeps although they are idle, to save allocations.
	minKeys = 16

	// sweptVisitors is the number of idle visitors of a key that are dropped with each new visitor.
	sweptVisitors = 2

	// droppedVisitors is the number of idle visitors of each key that are dropped when there are too many visitors.
	droppedVisitors = 16
)

// shard has the keys with the same hash.
type shard struct {
	mu   sync.Mutex // guards everything below, including the keys and their tables
	now  int64      // latest time of a request
	keys map[string]*keyState
	ring []*keyState // all keys
	hand int         // position in ring to sweep next

	classes [maxClass + 1]*keyState // lists of the keys by size class
	largest atomic.Int32            // the highest size class with a key, or 0; written under mu

	// No visitor is idle before this time. It is written under mu.
	nextIdle atomic.Int64
}

// request has the arguments of a call of Allow.
type request struct {
	now                  int64
	key                  string
	visitor              Visitor
	keyRate, visitorRate Rate

	hasSlot bool // a slot for a new visitor is reserved
}

// allow decides on a request, and counts it if it is allowed. ok is false if a slot for its visitor must be taken from another
// key first; then nothing is counted.
func (s *shard) allow(l *Limiter, r *request) (d Decision, ok bool) {
	s.now = max(s.now, r.now)
	r.now = s.now
	k := s.enter(l, r.key)

	var own *bucket
	var keyBefore, keyNext arrival
	if !r.keyRate.IsZero() {
		own = k.bucket(r.keyRate, r.now)
		keyBefore = own.arrival
		keyNext = keyBefore.next(r.keyRate, r.now)
	}

	var t *table
	var item uint32
	var known, renamed bool
	var visitorBefore, visitorNext arrival
	if !r.visitorRate.IsZero() {
		t = s.table(l, k, r.visitorRate)
		if item, known = t.find(r.visitor.id); !known && r.visitor.previous != (visitorID{}) {
			item, known = t.find(r.visitor.previous)
			renamed = known
		}
		if known {
			visitorBefore = t.arrival(item)
		} else {
			visitorBefore = k.convert(t, r)
		}
		visitorNext = visitorBefore.next(r.visitorRate, r.now)
	}

	d = decide(r, keyBefore, keyNext, visitorBefore, visitorNext)
	if d.Rejected != None {
		return d, true
	}
	if t != nil {
		switch {
		case !known:
			if !s.makeRoom(l, k, r) {
				return Decision{}, false
			}
			t.insert(r.visitor.id, visitorNext)
			s.resize(k, 1)
			if visitorNext.ns < s.nextIdle.Load() {
				s.nextIdle.Store(visitorNext.ns)
			}
		case renamed:
			t.rename(item, r.visitor.id)
			fallthrough
		default:
			t.update(item, visitorNext)
		}
	}
	if own != nil {
		own.arrival = keyNext
	}
	return d, true
}

// makeRoom provides a slot for a new visitor of k. It returns false if the slot must be taken from another key.
func (s *shard) makeRoom(l *Limiter, k *keyState, r *request) bool {
	s.drop(l, k, sweptVisitors)
	s.sweep(l, k, 1)
	switch {
	case k.visitors >= max(l.maxVisitors/4, 1):
	case r.hasSlot:
		r.hasSlot = false
		return true
	case l.reserve(r.now, s):
		return true
	case k.visitors == 0 || k.class < int(l.largestClass()):
		return false
	}
	s.evict(l, k)
	return true
}

// enter returns the state of a key, and creates it if necessary.
func (s *shard) enter(l *Limiter, key string) *keyState {
	k := s.keys[key]
	if k != nil {
		return k
	}
	if s.keys == nil {
		s.keys = map[string]*keyState{}
	}
	s.sweep(l, nil, 2)
	k = &keyState{id: key, position: len(s.ring)}
	s.keys[key] = k
	s.ring = append(s.ring, k)
	return k
}

// table returns the counters of the key's visitors under a rate, and creates them if necessary.
func (s *shard) table(l *Limiter, k *keyState, r Rate) *table {
	for i, t := range k.tables {
		if t.rate == r {
			copy(k.tables[1:i+1], k.tables[:i])
			k.tables[0] = t
			return t
		}
	}
	if len(k.tables) == maxRates {
		last := k.tables[maxRates-1]
		l.visitors.Add(int64(-len(last.ids)))
		s.resize(k, -len(last.ids))
		k.tables = k.tables[:maxRates-1]
	}
	t := newTable(r, s.now)
	k.tables = append(k.tables, nil)
	copy(k.tables[1:], k.tables)
	k.tables[0] = t
	return t
}

// drop drops idle counters of the key's visitors, at most n of each rate.
func (s *shard) drop(l *Limiter, k *keyState, n int) (dropped int) {
	for _, t := range k.tables {
		for range n {
			if len(t.heap) == 0 || !t.heap[0].idle(s.now) {
				break
			}
			t.removeFirst()
			dropped++
		}
	}
	if dropped > 0 {
		l.visitors.Add(int64(-dropped))
		s.resize(k, -dropped)
	}
	return dropped
}

// evict drops the counter of k that is closest to being replenished, and leaves its slot to the caller. k must have a visitor.
func (s *shard) evict(l *Limiter, k *keyState) {
	var first *table
	for _, t := range k.tables {
		if len(t.heap) > 0 && (first == nil || t.heap[0].ns < first.heap[0].ns) {
			first = t
		}
	}
	if !first.heap[0].idle(s.now) {
		l.evicted.Add(1)
	}
	first.removeFirst()
	s.resize(k, -1)
}

// sweep drops idle visitors of the next n keys, and idle keys except inUse.
func (s *shard) sweep(l *Limiter, inUse *keyState, n int) {
	for range min(n, len(s.ring)) {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		k := s.ring[s.hand]
		s.hand++
		s.drop(l, k, sweptVisitors)
		if len(s.ring) > minKeys && k != inUse && k.idle(s.now) {
			s.remove(k)
		}
	}
}

// dropIdle drops idle visitors of all keys, and returns their number.
func (s *shard) dropIdle(l *Limiter) (dropped int) {
	next := int64(math.MaxInt64)
	for _, k := range s.ring {
		dropped += s.drop(l, k, droppedVisitors)
		for _, t := range k.tables {
			if len(t.heap) > 0 {
				next = min(next, t.heap[0].ns)
			}
		}
	}
	s.nextIdle.Store(next)
	return dropped
}

// remove removes a key without visitors.
func (s *shard) remove(k *keyState) {
	delete(s.keys, k.id)
	last := len(s.ring) - 1
	moved := s.ring[last]
	s.ring[k.position], moved.position = moved, k.position
	s.ring[last] = nil
	s.ring = s.ring[:last]
}

// resize changes the number of the key's visitors.
func (s *shard) resize(k *keyState, delta int) {
	k.visitors += delta
	class := bits.Len(uint(k.visitors))
	if class == k.class {
		return
	}
	if k.class > 0 {
		if k.prev != nil {
			k.prev.next = k.next
		} else {
			s.classes[k.class] = k.next
		}
		if k.next != nil {
			k.next.prev = k.prev
		}
		k.prev, k.next = nil, nil
	}
	k.class = class
	if class > 0 {
		if k.next = s.classes[class]; k.next != nil {
			k.next.prev = k
		}
		s.classes[class] = k
	}
	largest := maxClass
	for largest > 0 && s.classes[largest] == nil {
		largest--
	}
	s.largest.Store(int32(largest))
}
