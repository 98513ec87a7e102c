// Package ratelimit limits the requests and the concurrent streams of each key and of each visitor of a key.
//
//   - [Rate] is a number of requests in a duration, such as 600/1m.
//   - [Limiter] checks rates by GCRA, and counts streams. Its memory is bounded.
//   - [Decision] is the result of a check, with the values of the RateLimit header field.
//   - [Salt] derives a [Visitor] from a client address, which is not stored.
//
// The package does not depend on HTTP, Caddy or the key store.
package ratelimit

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// DefaultMaxVisitors is the number of visitors that a [Limiter] stores by default, in about 25 MB.
const DefaultMaxVisitors = 200_000

// shardCount is the number of locks.
const shardCount = 64

// Limiter limits requests by GCRA (generic cell rate algorithm) and counts concurrent streams, per key and per visitor of a key.
// Counters belong to key IDs, so they survive a new configuration. It is safe for concurrent use, and starts no goroutines.
//
// Memory: A visitor needs about 120 bytes. Counters of visitors that are fully replenished are dropped first, since that changes
// no decision. If there are too many others, the key with a new visitor drops its own counter that is closest to being
// replenished, if it has a quarter of all visitors, or if no other key has more. Otherwise it takes the slot from a
// key with many visitors. (Keys are compared by the order of magnitude, in powers of two.) So a flood of visitors on one key drops
// only counters of that key. The visitor of a dropped counter begins again, within the limit of the key. A key that is in use
// needs about 500 bytes; the caller bounds their number, as it passes only IDs of existing keys.
type Limiter struct {
	shards [shardCount]shard
	seed   maphash.Seed
	start  time.Time

	maxVisitors int
	visitors    atomic.Int64 // stored, or about to be
	evicted     atomic.Uint64
}

// New returns a Limiter that stores at most that many visitors, or [DefaultMaxVisitors] if maxVisitors is not positive.
func New(maxVisitors int) *Limiter {
	if maxVisitors <= 0 {
		maxVisitors = DefaultMaxVisitors
	}
	return &Limiter{seed: maphash.MakeSeed(), start: time.Now(), maxVisitors: maxVisitors}
}

// Scope says whose limit is meant.
type Scope uint8

// The scopes.
const (
	None       Scope = iota
	PerKey           // all clients of the key together
	PerVisitor       // one visitor of the key
)

// Decision is the result of [Limiter.Allow]. The zero value allows the request, without a limit.
type Decision struct {
	// Rejected is the limit that rejects the request, or None. If both do, it is the one with the longer wait.
	Rejected Scope

	// RetryAfter is the time until the request would be allowed if no other came before. It is positive if the request is
	// rejected, else 0.
	RetryAfter time.Duration

	// Limit is the limit that the following fields describe: the one that rejects the request, otherwise the one with fewer
	// remaining requests. It is None if there is no limit.
	Limit Scope

	// Rate is the limit's rate.
	Rate Rate

	// Remaining is the number of requests that are allowed immediately, at least 0.
	Remaining int

	// Reset is the time until the limit is fully replenished.
	Reset time.Duration
}

// Allowed reports whether the request is allowed.
func (d Decision) Allowed() bool { return d.Rejected == None }

// Allow checks both limits, and counts the request only if both allow it. A zero rate means no limit. now is the current time with
// its monotonic clock reading; earlier times than in a previous call count as that of the previous call.
//
// A new rate for the same key applies immediately. Requests that the previous rate has not replenished count
// towards the new one. Callers may also use several rates for a key at the same time; each counts the requests that were checked with it.
// Of more than four, the least recently used is forgotten.
//
// It takes less than a microsecond, and does not allocate for known keys and visitors.
func (l *Limiter) Allow(now time.Time, key string, visitor Visitor, keyRate, visitorRate Rate) Decision {
	if keyRate.IsZero() && visitorRate.IsZero() {
		return Decision{}
	}
	r := request{now: l.since(now), key: key, visitor: visitor, keyRate: keyRate.Clamp(), visitorRate: visitorRate.Clamp()}
	s := l.shard(key)
	s.mu.Lock()
	d, ok := s.allow(l, &r)
	s.mu.Unlock()
	if !ok {
		l.takeSlot(r.now)
		r.hasSlot = true
		s.mu.Lock()
		d, _ = s.allow(l, &r)
		s.mu.Unlock()
		if r.hasSlot {
			l.visitors.Add(-1)
		}
	}
	return d
}

// Stats describes the memory of a [Limiter].
type Stats struct {
	Visitors int    // visitors that are stored
	Evicted  uint64 // visitors that were dropped before they were fully replenished
}

// Stats returns the current values. It takes constant time.
func (l *Limiter) Stats() Stats {
	return Stats{Visitors: min(int(l.visitors.Load()), l.maxVisitors), Evicted: l.evicted.Load()}
}

func (l *Limiter) since(now time.Time) int64 { return int64(now.Sub(l.start)) }

func (l *Limiter) shard(key string) *shard {
	return &l.shards[maphash.String(l.seed, key)%shardCount]
}

// decide combines the arrivals that a request would lead to.
func decide(r *request, keyBefore, keyNext, visitorBefore, visitorNext arrival) Decision {
	var d Decision
	if !r.keyRate.IsZero() {
		d = decisionOf(PerKey, r.keyRate, keyBefore, keyNext, r.now)
	}
	if r.visitorRate.IsZero() {
		return d
	}
	v := decisionOf(PerVisitor, r.visitorRate, visitorBefore, visitorNext, r.now)
	switch {
	case d.Limit == None, v.RetryAfter > d.RetryAfter:
	case v.RetryAfter < d.RetryAfter, v.Remaining > d.Remaining, v.Remaining == d.Remaining && v.Reset <= d.Reset:
		return d
	}
	return v
}

func decisionOf(scope Scope, r Rate, before, next arrival, now int64) Decision {
	d := Decision{Limit: scope, Rate: r, RetryAfter: next.wait(r, now)}
	if d.RetryAfter > 0 {
		d.Rejected, next = scope, before
	}
	d.Remaining, d.Reset = r.Count-next.used(r, now), next.reset(now)
	return d
}
