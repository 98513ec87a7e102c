package keys

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-memdb"
)

// Store is the in-memory authority on all keys. Reads take no lock and never wait for a write. A write becomes visible as a
// whole or not at all. It is safe for concurrent use. Create one with NewStore.
type Store struct {
	sequence uint64 // number of stores that were created before
	db       *memdb.MemDB
	idSeed   maphash.Seed
	size     atomic.Int64
	revision atomic.Uint64
	ready    atomic.Bool

	downMu      sync.Mutex
	down        map[string]bool // names of unavailable feeds; guarded by downMu
	anyFeedDown atomic.Bool     // len(down) > 0, for readers without the lock

	writeMu    sync.Mutex                // held during a change of keys, so that listeners are called in order
	listeners  []Listener                // guarded by writeMu
	exceptFeed string                    // of SetOverrides; guarded by writeMu
	overrideOf func(id string) *Override // of SetOverrides; guarded by writeMu
	originals  map[string]*Key           // keys with an override, as their feeds have them; guarded by writeMu

	countsMu sync.Mutex // guards counts
	counts   stateCounts
}

var storeCount atomic.Uint64

// NewStore returns an empty store that is not ready.
func NewStore() *Store {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		panic(fmt.Sprintf("invalid schema of the key store: %v", err)) // the schema is constant: only a bug can cause this
	}
	return &Store{sequence: storeCount.Add(1), db: db, idSeed: maphash.MakeSeed()}
}

// CreatedAfter reports whether the store was created later than another one in this process.
func (s *Store) CreatedAfter(other *Store) bool { return s.sequence > other.sequence }

// Listener is notified of every change of a store, in order.
type Listener interface {
	// KeysChanged is called once per change, with all removed records and then all added ones; an updated key is in both. It is
	// called before the call that made the change returns, and must not modify the store or the keys.
	KeysChanged(out, in []*Key)
}

// Listen calls l with all existing keys, and from then on for each change.
func (s *Store) Listen(l Listener) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	all := make([]*Key, 0, s.Len())
	each(s.db.Txn(false), func(rec *record) { all = append(all, &rec.Key) })
	l.KeysChanged(nil, all)
	s.listeners = append(s.listeners, l)
}

// Lookup returns the key that has a token with this digest, or nil. It takes no lock.
func (s *Store) Lookup(d Digest) *Key {
	if rec := s.byDigest(s.db.Txn(false), &d); rec != nil {
		return &rec.Key
	}
	return nil
}

// Get returns the key with this ID, or nil. It takes no lock.
func (s *Store) Get(id string) *Key {
	if rec := s.byID(s.db.Txn(false), id); rec != nil {
		return &rec.Key
	}
	return nil
}

// HasAny reports whether there is a key with one of these IDs. It takes no lock.
func (s *Store) HasAny(ids ...string) bool {
	txn := s.db.Txn(false)
	for _, id := range ids {
		if s.byID(txn, id) != nil {
			return true
		}
	}
	return false
}

// Decide returns what Verifier.Verify returns for a token with this digest: for administration, which does not have the token.
func (s *Store) Decide(d Digest, now time.Time) Decision {
	if !s.Ready() {
		return Decision{Reason: NotReady}
	}
	feedDown := s.anyFeedDown.Load() // before and after the lookup, as in Verify
	k := s.Lookup(d)
	switch {
	case k != nil:
		return k.Decide(d, now)
	case feedDown || s.anyFeedDown.Load():
		return Decision{Reason: FeedUnavailable}
	}
	return Decision{Reason: UnknownToken}
}

// Len returns the number of keys in all states.
func (s *Store) Len() int { return int(s.size.Load()) }

// Revision returns a number that increases with each applied change, before the call that made the change returns.
func (s *Store) Revision() uint64 { return s.revision.Load() }

// SetReady sets whether the keys are complete enough to decide on tokens. A new store is not ready.
func (s *Store) SetReady(ready bool) { s.ready.Store(ready) }

// SetFeedUnavailable sets whether a feed is unavailable, so that it may have keys that are not known here. While any feed is unavailable,
// no token is rejected as unknown.
func (s *Store) SetFeedUnavailable(feed string, unavailable bool) {
	s.downMu.Lock()
	defer s.downMu.Unlock()
	if s.down == nil {
		s.down = map[string]bool{}
	}
	if unavailable {
		s.down[feed] = true
	} else {
		delete(s.down, feed)
	}
	s.anyFeedDown.Store(len(s.down) > 0)
}

// Ready returns the value of the last SetReady.
func (s *Store) Ready() bool { return s.ready.Load() }

// Complete reports whether the store is ready and no feed is unavailable, so that a key that is not in the store is in no feed.
func (s *Store) Complete() bool { return s.Ready() && !s.anyFeedDown.Load() }

func (s *Store) byDigest(txn *memdb.Txn, d *Digest) *record {
	hash := d.hash()
	for _, e := range entries(txn, tableDigests, bucketIndex(hash)) {
		if e.hash == hash && e.rec.has(d) {
			return e.rec
		}
	}
	return nil
}

func (s *Store) byID(txn *memdb.Txn, id string) *record {
	hash := maphash.String(s.idSeed, id)
	for _, e := range entries(txn, tableIDs, bucketIndex(hash)) {
		if e.hash == hash && e.rec.ID == id {
			return e.rec
		}
	}
	return nil
}

// entries returns the records of one bucket. The only possible error of go-memdb is a name that is not in the schema, but the
// names are constants. Without a record the token is rejected.
func entries(txn *memdb.Txn, table string, slot uint16) []entry {
	obj, err := txn.First(table, indexSlot, slot)
	if err != nil || obj == nil {
		return nil
	}
	return obj.(*bucket).entries
}

// each calls f for every record that is visible to txn.
func each(txn *memdb.Txn, f func(*record)) {
	rows, err := txn.Get(tableIDs, indexSlot) // not by digest: a key may have several
	if err != nil {
		return // cannot happen, see entries
	}
	for row := rows.Next(); row != nil; row = rows.Next() {
		for _, e := range row.(*bucket).entries {
			f(e.rec)
		}
	}
}

// stateCounts is a cached count of keys by status. It is valid for one revision of the store, and until the first key reaches a time
// bound.
type stateCounts struct {
	valid    bool
	revision uint64
	from     time.Time
	until    time.Time // zero: no key has a time bound in the future
	byStatus map[Reason]int
	byKind   KindCounts
}

func (t *stateCounts) isCurrent(revision uint64, now time.Time) bool {
	return t.valid && t.revision == revision && !now.Before(t.from) && (t.until.IsZero() || now.Before(t.until))
}

// Counts returns the number of keys by status at the time now. It always contains all six: "active", "disabled", "revoked",
// "unusable", "not_yet_valid" and "expired". Keys are recounted only when a key has changed or has reached a time bound, so a
// scrape is cheap. The caller owns the map.
func (s *Store) Counts(now time.Time) map[string]int {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	c := s.currentCounts(now).byStatus
	return map[string]int{
		Active.String():             c[Allowed],
		Disabled.String():           c[DisabledKey],
		Revoked.String():            c[RevokedKey],
		BindingUnavailable.String(): c[UnusableKey],
		string(NotYetValid):         c[NotYetValid],
		string(Expired):             c[Expired],
	}
}

// currentCounts returns the counts at the time now. The caller holds countsMu.
func (s *Store) currentCounts(now time.Time) *stateCounts {
	// The revision is loaded before the keys, so a concurrent change causes at most a needless recount, never a stale count.
	if revision := s.revision.Load(); !s.counts.isCurrent(revision, now) {
		s.counts = s.count(revision, now)
	}
	return &s.counts
}

func (s *Store) count(revision uint64, now time.Time) stateCounts {
	t := stateCounts{valid: true, revision: revision, from: now, byStatus: make(map[Reason]int, 4)}
	each(s.db.Txn(false), func(rec *record) {
		status := rec.Status(now)
		t.byStatus[status]++
		if status == Allowed {
			t.byKind.add(&rec.Key)
		}
		for _, bound := range [...]time.Time{rec.NotBefore, rec.Expires} {
			if bound.After(now) && (t.until.IsZero() || bound.Before(t.until)) {
				t.until = bound
			}
		}
	})
	return t
}
