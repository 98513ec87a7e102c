package keys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// requireVisitor returns the reason for the key's own token: VisitorRequired if it would be allowed, but the key accepts only signed tokens.
func (k *Key) requireVisitor(reason Reason) Reason {
	if reason == Allowed && k.Policy != nil && k.Policy.Visitors == policy.VisitorsRequired {
		return VisitorRequired
	}
	return reason
}

// AcceptsVisitors reports whether signed tokens of visitors can be valid for the key.
func (k *Key) AcceptsVisitors() bool {
	return k.Policy != nil && k.Policy.Visitors != policy.VisitorsOff && k.VisitorTokens != nil && !k.VisitorTokens.IsZero()
}

// StillAccepts reports whether a visitor whose token was verified with an earlier version of the key is still accepted: the key accepts
// visitors, and their tokens were not invalidated since.
func (k *Key) StillAccepts(v *visitortoken.Visitor) bool {
	return k.AcceptsVisitors() && k.VisitorTokens.Generation == v.Generation
}

// Errors of Key.SignVisitorToken.
var (
	ErrVisitorsOff = errors.New("the key does not accept signed tokens")
	ErrNotActive   = errors.New("the key is not active")
)

// SignVisitorToken signs a token for a visitor of the key, of the current generation; those of the request are ignored. Errors are
// ErrVisitorsOff, ErrNotActive, *visitortoken.FieldError and visitortoken.ErrNoSecret.
func (k *Key) SignVisitorToken(r visitortoken.Request, now time.Time) (string, error) {
	switch {
	case k.Policy == nil || k.Policy.Visitors == policy.VisitorsOff:
		return "", ErrVisitorsOff
	case k.Status(now) != Allowed:
		return "", ErrNotActive
	}
	r.KeyID = k.ID
	if err := r.Validate(); err != nil {
		return "", err
	}
	if r.Origin != nil && len(k.Policy.Origins) > 0 && !policy.AllowsOrigin(k.Policy.Origins, r.Origin.String()) {
		return "", &visitortoken.FieldError{Field: "origin", Message: "must be one of the origins of the key"}
	}
	if k.VisitorTokens == nil {
		return "", visitortoken.ErrNoSecret
	}
	return k.VisitorTokens.Sign(r, now)
}

// verifySigned decides on a token that has the form of a signed token. known is false if it does not name a key: then it may be a
// key's own token.
func (v *Verifier) verifySigned(token string, now time.Time, guard LookupGuard) (d Decision, known bool) {
	cache := v.signedCache()
	var digest Digest
	if cache != nil {
		digest = sumSigned(token)
		if rec, visitor := cache.get(&digest); rec != nil {
			return rec.decideSigned(visitor, visitor.CheckTime(now), now), true
		}
	}
	if guard != nil && !guard.AllowLookup() {
		return Decision{Reason: LookupRejected}, true
	}
	id, ok := visitortoken.KeyID(token)
	if !ok {
		return d, false
	}
	rec := v.store.byID(v.store.db.Txn(false), id)
	if rec == nil {
		return d, false
	}
	visitor, err := rec.verifySigned(token, now)
	if err == nil && cache != nil {
		cache.put(&digest, signedEntry{digest: digest, rec: rec.reference(), visitor: visitor})
	}
	return rec.decideSigned(visitor, err, now), true
}

// verifySigned verifies a signed token that names the key. The results are those of visitortoken.Settings.Verify, and ErrInvalid if the key
// accepts no signed tokens.
func (r *record) verifySigned(token string, now time.Time) (*visitortoken.Visitor, error) {
	if !r.AcceptsVisitors() {
		return nil, visitortoken.ErrInvalid
	}
	return r.VisitorTokens.Verify(token, r.ID, now)
}

// DecideSigned returns what Verifier.Verify returns for a signed token of a visitor: for administration. It does not use the cache.
func (s *Store) DecideSigned(token string, now time.Time) Decision {
	if id, ok := visitortoken.KeyID(token); ok && s.Ready() {
		if rec := s.byID(s.db.Txn(false), id); rec != nil {
			visitor, err := rec.verifySigned(token, now)
			return rec.decideSigned(visitor, err, now)
		}
	}
	return s.Decide(DigestOf(token), now)
}

// decideSigned returns the decision on a signed token, with the error of its verification.
func (r *record) decideSigned(visitor *visitortoken.Visitor, err error, now time.Time) Decision {
	if visitor == nil {
		return Decision{Reason: VisitorTokenInvalid} // without the key, which anyone could name
	}
	d := Decision{Key: &r.Key, Visitor: visitor, Reason: r.Status(now)}
	switch {
	case d.Reason != Allowed || err == nil:
	case errors.Is(err, visitortoken.ErrExpired), errors.Is(err, visitortoken.ErrGeneration):
		d.Reason = VisitorTokenExpired
	default:
		d.Reason = VisitorTokenInvalid
	}
	return d
}

// sumSigned is DigestOf for signed tokens, which are longer. It does not allocate.
func sumSigned(token string) Digest {
	var buf [visitortoken.MaxLength]byte
	return sha256.Sum256(append(buf[:0], token...))
}

// signedEntries is the number of verified tokens in the cache: those of visitors who are active at the same time.
const signedEntries = 8192

// signedEntry is a token that was verified with a record. A record never changes, so the result holds until the record is removed
// from the store, or the token expires.
type signedEntry struct {
	digest  Digest
	rec     *recordRef
	visitor *visitortoken.Visitor
}

// signedCache holds verified tokens, since a verification of EdDSA takes as long as hundreds of lookups. Tokens that are not valid are not
// cached: there are too many of them. It needs no Close; see cache.
type signedCache struct {
	entries *ristretto.Cache[uint64, signedEntry]
}

// signedCache returns the cache. It is created with the first signed token, and is nil after Close.
func (v *Verifier) signedCache() *signedCache {
	c := v.signed.Load()
	if c != nil || v.cache.Load() == nil {
		return c
	}
	c, err := newSignedCache()
	if err != nil || !v.signed.CompareAndSwap(nil, c) {
		return v.signed.Load()
	}
	return c
}

func newSignedCache() (*signedCache, error) {
	entries, err := newRistretto[signedEntry](signedEntries)
	if err != nil {
		return nil, fmt.Errorf("creating the cache of signed tokens: %w", err)
	}
	c := &signedCache{entries}
	runtime.AddCleanup(c, func(entries *ristretto.Cache[uint64, signedEntry]) { entries.Close() }, entries)
	return c, nil
}

// get returns the record and the visitor of a token, or nil.
func (c *signedCache) get(d *Digest) (*record, *visitortoken.Visitor) {
	defer runtime.KeepAlive(c) // otherwise the goroutines could be stopped during the call
	if e, ok := c.entries.Get(d.hash()); ok && e.digest == *d {
		return e.rec.get(), e.visitor
	}
	return nil, nil
}

func (c *signedCache) put(d *Digest, e signedEntry) {
	defer runtime.KeepAlive(c)
	c.entries.Set(d.hash(), e, 1)
}
