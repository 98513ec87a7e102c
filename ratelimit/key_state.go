package ratelimit

import "slices"

// maxRates is the number of rates for which a key has counters at the same time: usually one, and during a change two.
const maxRates = 4

// keyState is the state of one key. It is guarded by the lock of its shard.
type keyState struct {
	id       string
	position int // in the shard's ring

	buckets []bucket // one for each rate of the key, most recently used first
	tables  []*table // one for each rate of its visitors, most recently used first

	visitors   int // in all tables
	class      int // size class: the number of bits of visitors
	prev, next *keyState

	streams        int
	visitorStreams map[visitorID]int // only those with open streams
}

// bucket is the key's own counter under a rate.
type bucket struct {
	rate Rate
	arrival
}

// bucket returns the counter for a rate. A new one has the used requests of the one before.
func (k *keyState) bucket(r Rate, now int64) *bucket {
	for i, b := range k.buckets {
		if b.rate == r {
			copy(k.buckets[1:i+1], k.buckets[:i])
			k.buckets[0] = b
			return &k.buckets[0]
		}
	}
	b := bucket{rate: r}
	if len(k.buckets) > 0 {
		b.arrival = k.buckets[0].convert(k.buckets[0].rate, r, now)
	}
	k.buckets = slices.Insert(k.buckets[:min(len(k.buckets), maxRates-1)], 0, b)
	return &k.buckets[0]
}

// convert returns the arrival that a visitor without a counter in t begins with: the used requests under the rate that was
// replaced when t was created. After the new rate's Per, none of them would remain.
func (k *keyState) convert(t *table, r *request) arrival {
	if len(k.tables) == 1 || r.now-t.created >= int64(t.rate.Per) {
		return arrival{}
	}
	for _, other := range k.tables {
		if other == t {
			continue
		}
		item, ok := other.find(r.visitor.id)
		if !ok && r.visitor.previous != (visitorID{}) {
			item, ok = other.find(r.visitor.previous)
		}
		if ok {
			return other.arrival(item).convert(other.rate, t.rate, t.created)
		}
	}
	return arrival{}
}

// idle reports whether the state of the key is that of a new key.
func (k *keyState) idle(now int64) bool {
	if k.visitors > 0 || k.streams > 0 || len(k.visitorStreams) > 0 {
		return false
	}
	for i := range k.buckets {
		if !k.buckets[i].arrival.idle(now) {
			return false
		}
	}
	return true
}
