package keys

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/hashicorp/go-memdb"
)

// Change counts the keys that a write has touched.
type Change struct{ Added, Updated, Removed int }

// IsZero reports whether nothing was touched.
func (c Change) IsZero() bool { return c == Change{} }

// Replace makes set the keys of a feed. It compares set with what the feed had and writes the differences in one
// transaction; records that mean the same as before stay, and with them what caches know of them. When it returns, all
// further reads and decisions are made on the new keys. The store keeps no part of set but its strings and secrets.
//
// A key without id, digest or exactly one binding, and an id or a digest that stands twice in set or belongs to another
// feed, are errors. Then nothing is applied, and the error names every such key by its id, one a line, and no digest.
func (s *Store) Replace(feed string, set []Key) (Change, error) {
	txn := s.db.Txn(true) // one writer at a time from here on
	defer txn.Abort()

	diff, err := s.compare(txn, feed, set)
	if err != nil {
		return Change{}, err
	}
	s.apply(txn, diff)
	return diff.change, nil
}

// Remove takes all keys of a feed away, as Replace with no keys does.
func (s *Store) Remove(feed string) Change {
	change, _ := s.Replace(feed, nil) // without keys there is nothing to be in conflict
	return change
}

// difference is what a write has to do: out leaves the tables and in enters them. An updated key is in both.
type difference struct {
	out, in []*record
	change  Change
}

func (s *Store) compare(txn *memdb.Txn, feed string, set []Key) (difference, error) {
	var (
		diff     difference
		faults   []error
		byID     = make(map[string]struct{}, len(set))
		byDigest = make(map[Digest]int, len(set))
	)
	for i := range set {
		k := set[i]
		k.Feed = feed
		if err := k.check(); err != nil {
			faults = append(faults, err)
			continue
		}
		if _, repeated := byID[k.ID]; repeated {
			faults = append(faults, fmt.Errorf("key %s: the id is used more than once", k.ID))
		}
		byID[k.ID] = struct{}{}
		if first, repeated := byDigest[k.Digest]; repeated {
			faults = append(faults, fmt.Errorf("key %s: same token as key %s", k.ID, set[first].ID))
		} else {
			byDigest[k.Digest] = i
		}
		old := s.byID(txn, k.ID)
		if old != nil && old.Feed != feed {
			faults = append(faults, fmt.Errorf("key %s: the id is used in feed %s, too", k.ID, old.Feed))
		}
		if old != nil && k.same(&old.Key) {
			continue
		}
		if o := s.byDigest(txn, &k.Digest); o != nil && o.Feed != feed {
			faults = append(faults, fmt.Errorf("key %s: same token as key %s of feed %s", k.ID, o.ID, o.Feed))
		}
		switch {
		case old == nil:
			diff.change.Added++
		default:
			diff.change.Updated++
			diff.out = append(diff.out, old)
		}
		k.Binding.Sources = slices.Clone(k.Binding.Sources)
		diff.in = append(diff.in, &record{Key: k})
	}
	if len(faults) > 0 {
		return difference{}, errors.Join(faults...)
	}
	each(txn, func(rec *record) {
		if rec.Feed != feed {
			return
		}
		if _, stays := byID[rec.ID]; !stays {
			diff.change.Removed++
			diff.out = append(diff.out, rec)
		}
	})
	return diff, nil
}

func (s *Store) apply(txn *memdb.Txn, diff difference) {
	if diff.change.IsZero() {
		return
	}
	rewrite(txn, tableDigests, diff, func(r *record) uint64 { return r.Digest.hash() })
	rewrite(txn, tableIDs, diff, func(r *record) uint64 { return maphash.String(s.idSeed, r.ID) })
	// The order matters. The revision moves after the commit: a reader takes the revision first and then looks, so what it
	// did not find in the old keys can never pass for knowledge of the new ones. The old records are marked before this
	// returns, so from then on no cache can answer with one.
	txn.Commit()
	s.size.Add(int64(diff.change.Added - diff.change.Removed))
	for _, rec := range diff.out {
		rec.retired.Store(true)
	}
	s.revision.Add(1)
}

// edit is one record that enters or leaves a bucket.
type edit struct {
	entry
	leaves bool
}

// rewrite builds each bucket that a difference touches once, from a copy: readers may hold the old one.
func rewrite(txn *memdb.Txn, table string, diff difference, hash func(*record) uint64) {
	edits := make([]edit, 0, len(diff.out)+len(diff.in))
	for _, rec := range diff.out {
		edits = append(edits, edit{entry: entry{hash(rec), rec}, leaves: true})
	}
	for _, rec := range diff.in {
		edits = append(edits, edit{entry: entry{hash(rec), rec}})
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(slotOf(a.hash), slotOf(b.hash)) })
	for len(edits) > 0 {
		slot := slotOf(edits[0].hash)
		n := 1
		for n < len(edits) && slotOf(edits[n].hash) == slot {
			n++
		}
		must(put(txn, table, edited(slot, entries(txn, table, slot), edits[:n])))
		edits = edits[n:]
	}
}

func edited(slot uint16, old []entry, edits []edit) *bucket {
	size := len(old)
	for _, e := range edits {
		if e.leaves {
			size--
		} else {
			size++
		}
	}
	b := &bucket{slot: slot, entries: make([]entry, 0, size)}
	for _, o := range old {
		if !slices.ContainsFunc(edits, func(e edit) bool { return e.leaves && e.rec == o.rec }) {
			b.entries = append(b.entries, o)
		}
	}
	for _, e := range edits {
		if !e.leaves {
			b.entries = append(b.entries, e.entry)
		}
	}
	return b
}

func put(txn *memdb.Txn, table string, b *bucket) error {
	if len(b.entries) == 0 {
		return txn.Delete(table, b)
	}
	return txn.Insert(table, b)
}

// must is for errors that only a fault of this package could cause: a table that is not in the schema, an object that is
// no bucket. The transaction is aborted on the way up.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("writing the key store: %v", err))
	}
}
