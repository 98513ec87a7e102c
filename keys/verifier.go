package keys

import (
	"sync/atomic"
	"time"
)

// Verifier decides on tokens: the one way from what a client presents to a Decision. It is safe for concurrent use, and its
// reads take no lock of their own. Make one with NewVerifier.
type Verifier struct {
	store *Store
	cache atomic.Pointer[cache] // nil when closed

	hits, negativeHits, misses atomic.Uint64
}

// NewVerifier returns a verifier over a store. The only error is a cache configuration that makes no sense.
func NewVerifier(store *Store, c CacheConfig) (*Verifier, error) {
	cache, err := newCache(c)
	if err != nil {
		return nil, err
	}
	v := &Verifier{store: store}
	v.cache.Store(cache)
	return v, nil
}

// Verify decides on a token at the time now. A key that was changed or removed in the store counts as such from the moment
// that the store's call has returned; every bound in time is compared with now on every call. Until the store is ready
// every decision is NotReady.
func (v *Verifier) Verify(token string, now time.Time) Decision {
	switch {
	case !v.store.Ready():
		return Decision{Reason: NotReady}
	case token == "":
		return Decision{Reason: NoToken}
	case !WellFormed(token):
		return Decision{Reason: Malformed}
	case Mistyped(token):
		return Decision{Reason: BadChecksum}
	}
	// The digests are compared in ordinary time: how long that takes tells something about a digest, from which no token
	// can be found.
	digest := DigestOf(token)
	unsure := v.store.unsure.Load()
	rec := v.find(&digest)
	if rec == nil {
		// Asked before and after the look: in between a feed may have come back with this token, or gone with it.
		if unsure || v.store.unsure.Load() {
			return Decision{Reason: FeedAway}
		}
		return Decision{Reason: Unknown}
	}
	return rec.decide(&digest, now)
}

func (v *Verifier) find(d *Digest) *record {
	c := v.cache.Load()
	if c == nil {
		return v.store.byDigest(v.store.db.Txn(false), d)
	}
	revision := v.store.Revision() // before the lookup: see Store.apply
	switch rec, known := c.get(d, revision); known {
	case isKnown:
		v.hits.Add(1)
		return rec
	case isUnknown:
		v.negativeHits.Add(1)
		return nil
	case nothingKnown:
	}
	v.misses.Add(1)
	rec := v.store.byDigest(v.store.db.Txn(false), d)
	c.put(d, rec, revision)
	return rec
}

// CacheStats counts how decisions on well-formed tokens found their record since the verifier was made. After Close the
// numbers stand still.
type CacheStats struct {
	Hits         uint64 // a key, from the cache
	NegativeHits uint64 // known to be unknown, from the cache
	Misses       uint64 // the store was asked
}

// CacheStats returns the current numbers. They are read one after the other, not at one moment.
func (v *Verifier) CacheStats() CacheStats {
	return CacheStats{Hits: v.hits.Load(), NegativeHits: v.negativeHits.Load(), Misses: v.misses.Load()}
}

// Close lets go of the cache. Verify goes on to work, straight from the store, also for calls that are under way. The
// memory and goroutines of the cache end once the garbage collector has seen that nobody uses them. Close may be called
// more than once.
func (v *Verifier) Close() { v.cache.Store(nil) }
