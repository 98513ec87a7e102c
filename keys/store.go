package keys

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-memdb"
)

// Store is the authority on all keys, in memory. Reads take no lock and never wait for a write; a write is seen as a whole
// or not at all. It is safe for concurrent use. Make one with NewStore.
type Store struct {
	db       *memdb.MemDB
	idSeed   maphash.Seed
	size     atomic.Int64
	revision atomic.Uint64
	ready    atomic.Bool

	awayMu sync.Mutex
	away   map[string]bool // feeds that cannot be read; guarded by awayMu
	unsure atomic.Bool     // there is one

	writing   sync.Mutex // held by whoever changes keys, so that listeners hear of changes in their order
	listeners []Listener // guarded by writing

	countsMu sync.Mutex // guards counts
	counts   tally
}

// NewStore returns an empty store that is not ready.
func NewStore() *Store {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		panic(fmt.Sprintf("the schema of the key store is wrong: %v", err)) // it is a constant: a fault of the program
	}
	return &Store{db: db, idSeed: maphash.MakeSeed()}
}

// Listener hears of every change of a store, in their order.
type Listener interface {
	// KeysChanged tells of one change as a whole: first what has left, then what came in; a key that was updated is in
	// both. It is called before the call that made the change returns, and must not change the store or the keys.
	KeysChanged(out, in []*Key)
}

// Listen calls l for all keys that there are, and from then on for each change.
func (s *Store) Listen(l Listener) {
	s.writing.Lock()
	defer s.writing.Unlock()
	all := make([]*Key, 0, s.Len())
	each(s.db.Txn(false), func(rec *record) { all = append(all, &rec.Key) })
	l.KeysChanged(nil, all)
	s.listeners = append(s.listeners, l)
}

// Lookup returns the key with this digest, or nil. It takes no lock.
func (s *Store) Lookup(d Digest) *Key {
	if rec := s.byDigest(s.db.Txn(false), &d); rec != nil {
		return &rec.Key
	}
	return nil
}

// Get returns the key with this id, or nil. It takes no lock.
func (s *Store) Get(id string) *Key {
	if rec := s.byID(s.db.Txn(false), id); rec != nil {
		return &rec.Key
	}
	return nil
}

// Len returns the number of keys, whatever their state.
func (s *Store) Len() int { return int(s.size.Load()) }

// Revision returns a number that grows with each applied change. It has grown when the call that made the change returns.
func (s *Store) Revision() uint64 { return s.revision.Load() }

// SetReady says whether the keys are complete enough to decide on tokens. A new store is not ready.
func (s *Store) SetReady(ready bool) { s.ready.Store(ready) }

// SetAway says whether a feed cannot be read at the moment, so that it may have keys that are not known here. As long as
// there is such a feed nothing is said against a token that no known key has.
func (s *Store) SetAway(feed string, away bool) {
	s.awayMu.Lock()
	defer s.awayMu.Unlock()
	if s.away == nil {
		s.away = map[string]bool{}
	}
	if away {
		s.away[feed] = true
	} else {
		delete(s.away, feed)
	}
	s.unsure.Store(len(s.away) > 0)
}

// Ready reports what SetReady said last.
func (s *Store) Ready() bool { return s.ready.Load() }

func (s *Store) byDigest(txn *memdb.Txn, d *Digest) *record {
	hash := d.hash()
	for _, e := range entries(txn, tableDigests, slotOf(hash)) {
		if e.hash == hash && e.rec.has(d) {
			return e.rec
		}
	}
	return nil
}

func (s *Store) byID(txn *memdb.Txn, id string) *record {
	hash := maphash.String(s.idSeed, id)
	for _, e := range entries(txn, tableIDs, slotOf(hash)) {
		if e.hash == hash && e.rec.ID == id {
			return e.rec
		}
	}
	return nil
}

// entries returns what one bucket holds. The only error that go-memdb knows here is a name that is not in the schema; the
// names are constants, and without a record the answer is a refusal.
func entries(txn *memdb.Txn, table string, slot uint16) []entry {
	obj, err := txn.First(table, indexSlot, slot)
	if err != nil || obj == nil {
		return nil
	}
	return obj.(*bucket).entries
}

// each calls f for every record that txn sees.
func each(txn *memdb.Txn, f func(*record)) {
	rows, err := txn.Get(tableIDs, indexSlot) // not by digest: a key may have several
	if err != nil {
		return // as in entries
	}
	for row := rows.Next(); row != nil; row = rows.Next() {
		for _, e := range row.(*bucket).entries {
			f(e.rec)
		}
	}
}

// tally is the outcome of a count and how long it holds: for one revision, and until the first key crosses a bound in time.
type tally struct {
	valid      bool
	revision   uint64
	from       time.Time
	until      time.Time // zero: no key has a bound ahead
	byStanding map[Reason]int
}

func (t *tally) holds(revision uint64, now time.Time) bool {
	return t.valid && t.revision == revision && !now.Before(t.from) && (t.until.IsZero() || now.Before(t.until))
}

// Counts returns the number of keys by what they are at the time now: "active", "disabled", "revoked", "unusable",
// "not_yet_valid" and "expired", always all six. Keys are counted anew only when one has changed or crossed a bound in time, so a scrape is cheap.
// The caller owns the map.
func (s *Store) Counts(now time.Time) map[string]int {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	// The revision is read before the keys, so a change in between makes this count too old, never too new.
	if revision := s.revision.Load(); !s.counts.holds(revision, now) {
		s.counts = s.count(revision, now)
	}
	c := s.counts.byStanding
	return map[string]int{
		Active.String():     c[Allowed],
		Disabled.String():   c[DisabledKey],
		Revoked.String():    c[RevokedKey],
		Unusable.String():   c[UnusableKey],
		string(NotYetValid): c[NotYetValid],
		string(Expired):     c[Expired],
	}
}

func (s *Store) count(revision uint64, now time.Time) tally {
	t := tally{valid: true, revision: revision, from: now, byStanding: make(map[Reason]int, 4)}
	each(s.db.Txn(false), func(rec *record) {
		t.byStanding[rec.Standing(now)]++
		for _, bound := range [...]time.Time{rec.NotBefore, rec.Expires} {
			if bound.After(now) && (t.until.IsZero() || bound.Before(t.until)) {
				t.until = bound
			}
		}
	})
	return t
}
