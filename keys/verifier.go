package keys

import (
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/visitortoken"
)

// Verifier decides on tokens: it is the only path from a presented token to a Decision. It is safe for concurrent use, and its
// reads take no lock of their own. Create one with NewVerifier.
type Verifier struct {
	store *Store
	cache atomic.Pointer[cache] // nil when closed

	signed atomic.Pointer[signedCache] // nil when closed, or before the first signed token

	hits, negativeHits, misses atomic.Uint64
}

// NewVerifier returns a Verifier for a store. It returns an error only for an invalid cache configuration.
func NewVerifier(store *Store, c CacheConfig) (*Verifier, error) {
	cache, err := newCache(c)
	if err != nil {
		return nil, err
	}
	v := &Verifier{store: store}
	v.cache.Store(cache)
	return v, nil
}

// LookupGuard decides whether a token that is not in the cache may be looked up, so that clients with many unknown tokens can be slowed
// down without an effect on keys in use.
type LookupGuard interface {
	// AllowLookup is called at most once for each token, and not for cached ones.
	AllowLookup() bool
}

// Verify is VerifyGuarded without a guard.
func (v *Verifier) Verify(token string, now time.Time) Decision {
	return v.VerifyGuarded(token, now, nil)
}

// VerifyGuarded decides on a token at the time now. A key that was changed or removed in the store is treated as such as soon as the
// store's method has returned, and time bounds are compared with now on every call. Until the store is ready, every decision is
// NotReady. A guard may be nil; if it rejects a lookup, the decision is LookupRejected.
func (v *Verifier) VerifyGuarded(token string, now time.Time, guard LookupGuard) Decision {
	if visitortoken.HasTokenForm(token) && v.store.Ready() {
		d, known := v.verifySigned(token, now, guard)
		if known {
			return d
		}
		guard = nil // it was called
	}
	switch {
	case !v.store.Ready():
		return Decision{Reason: NotReady}
	case token == "":
		return Decision{Reason: NoToken}
	case !IsValidToken(token):
		return Decision{Reason: Malformed}
	case HasBadChecksum(token):
		return Decision{Reason: BadChecksum}
	}
	// A constant-time comparison is unnecessary: the timing reveals something about a digest, from which the token cannot be
	// found.
	digest := DigestOf(token)
	feedDown := v.store.anyFeedDown.Load()
	rec, found := v.lookup(&digest, guard)
	if !found {
		return Decision{Reason: LookupRejected}
	}
	if rec == nil {
		// Checked before and after the lookup: in between, a feed with this token may have become available or unavailable.
		if feedDown || v.store.anyFeedDown.Load() {
			return Decision{Reason: FeedUnavailable}
		}
		return Decision{Reason: UnknownToken}
	}
	return rec.Decide(digest, now)
}

// lookup returns the record with a digest, or nil. ok is false if the guard has rejected the lookup.
func (v *Verifier) lookup(d *Digest, guard LookupGuard) (rec *record, ok bool) {
	c := v.cache.Load()
	if c == nil {
		if guard != nil && !guard.AllowLookup() {
			return nil, false
		}
		return v.store.byDigest(v.store.db.Txn(false), d), true
	}
	revision := v.store.Revision() // before the lookup: see Store.apply
	switch rec, known := c.get(d, revision); known {
	case hit:
		v.hits.Add(1)
		return rec, true
	case negativeHit:
		v.negativeHits.Add(1)
		return nil, true
	case miss:
	}
	if guard != nil && !guard.AllowLookup() {
		return nil, false
	}
	v.misses.Add(1)
	rec = v.store.byDigest(v.store.db.Txn(false), d)
	c.put(d, rec, revision)
	return rec, true
}

// CacheStats counts how decisions on valid tokens found their record since the verifier was created. After Close the numbers no
// longer change.
type CacheStats struct {
	Hits         uint64 // keys found in the cache
	NegativeHits uint64 // unknown tokens found in the cache
	Misses       uint64 // lookups in the store
}

// CacheStats returns the current numbers. They are not loaded atomically as a group.
func (v *Verifier) CacheStats() CacheStats {
	return CacheStats{Hits: v.hits.Load(), NegativeHits: v.negativeHits.Load(), Misses: v.misses.Load()}
}

// Close releases the cache. Verify keeps working without it, directly on the store; calls in progress are not affected. The
// memory and the goroutines of the cache are released by the garbage collector once no call uses them. Close may be called more
// than once.
func (v *Verifier) Close() {
	v.cache.Store(nil)
	v.signed.Store(nil)
}
