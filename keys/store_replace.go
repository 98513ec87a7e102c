package keys

import (
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/hashicorp/go-memdb"
)

// Change is the number of keys that a write has affected.
type Change struct{ Added, Updated, Removed int }

// IsZero reports whether no key was affected.
func (c Change) IsZero() bool { return c == Change{} }

// Replace replaces the keys of a feed with set. It compares set with the feed's stored keys and writes the differences in one
// transaction. Unchanged records stay, so cached entries of them stay valid. When Replace returns, all further reads and
// decisions use the new keys. The store retains no part of set except its strings and secrets.
//
// A key without an ID, a digest or exactly one binding is an error, and so is an ID or a digest that is in set twice or belongs
// to another feed. In that case nothing is applied, and the error lists every such key by its ID, one per line, without
// digests.
func (s *Store) Replace(feed string, set []Key) (Change, error) {
	return s.replace(feed, &newKeys{
		len: len(set), key: func(i int) *Key { return &set[i] }, record: func(i int) *record { return &record{Key: set[i]} },
	})
}

// ReplaceBatch is Replace with keys that the store takes over.
func (s *Store) ReplaceBatch(feed string, b *Batch) (Change, error) {
	records := b.records
	b.records = nil
	return s.replace(feed, &newKeys{
		len: len(records), key: func(i int) *Key { return &records[i].Key }, record: func(i int) *record { return records[i] }, owned: true,
	})
}

// newKeys are the new keys of a feed.
type newKeys struct {
	len    int
	key    func(i int) *Key
	record func(i int) *record // is called at most once for each key
	owned  bool                // the store may keep the slices of the keys
}

func (s *Store) replace(feed string, set *newKeys) (Change, error) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	txn := s.db.Txn(true)
	defer txn.Abort()

	diff, err := s.compare(txn, feed, set)
	if err != nil {
		return Change{}, err
	}
	diff.owned = set.owned
	s.apply(txn, diff)
	return diff.change, nil
}

// Remove removes all keys of a feed, like Replace with an empty set.
func (s *Store) Remove(feed string) Change {
	change, _ := s.Replace(feed, nil) // an empty set cannot be in conflict
	return change
}

// compare returns the changes that Replace has to make.
func (s *Store) compare(txn *memdb.Txn, feed string, set *newKeys) (changeSet, error) {
	var (
		diff     changeSet
		errs     []error
		byID     map[string]struct{}
		byDigest map[Digest]int
	)
	first := s.Len() == 0
	if first {
		diff.in = make([]*record, 0, set.len)
	}
	unique := first && s.isUnique(set)
	if !unique {
		byID, byDigest = make(map[string]struct{}, set.len), make(map[Digest]int, set.len)
	}
	for i := range set.len {
		k := set.key(i)
		if err := k.check(); err != nil {
			errs = append(errs, err)
			continue
		}
		if !unique {
			if _, repeated := byID[k.ID]; repeated {
				errs = append(errs, fmt.Errorf("key %s: the id is used more than once", k.ID))
			}
			byID[k.ID] = struct{}{}
			for d := range k.digests {
				if first, repeated := byDigest[*d]; repeated {
					errs = append(errs, fmt.Errorf("key %s: same token as key %s", k.ID, set.key(first).ID))
				} else {
					byDigest[*d] = i
				}
			}
		}
		rec := set.record(i)
		s.complete(rec, feed, &diff)
		if err := s.addRecord(txn, rec, &diff); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return changeSet{}, errors.Join(errs...)
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

// isUnique reports whether no ID and no digest is in the set twice. It compares hashes, which takes a fifth of the memory, so the result may be
// false although none is.
func (s *Store) isUnique(set *newKeys) bool {
	hashes := make(map[uint64]struct{}, set.len)
	for i := range set.len {
		hashes[maphash.String(s.idSeed, set.key(i).ID)] = struct{}{}
	}
	if len(hashes) < set.len {
		return false
	}
	clear(hashes)
	n := 0
	for i := range set.len {
		for d := range set.key(i).digests {
			hashes[d.hash()] = struct{}{}
			n++
		}
	}
	return len(hashes) == n
}

// add adds one valid key of a feed to the changes. An error means that the key is in conflict with a key of another feed.
func (s *Store) add(txn *memdb.Txn, feed string, k *Key, diff *changeSet) error {
	return s.addRecord(txn, s.newRecord(feed, k, diff), diff)
}

// addRecord is add for a record that is complete.
func (s *Store) addRecord(txn *memdb.Txn, rec *record, diff *changeSet) error {
	k, feed := &rec.Key, rec.Feed
	if s.Len() == 0 { // at the start of a gate: lookups would take most of the time
		diff.change.Added++
		diff.in = append(diff.in, rec)
		return nil
	}
	old := s.byID(txn, k.ID)
	if old != nil && rec.equal(&old.Key) {
		return nil
	}
	var errs []error
	if old != nil && old.Feed != feed {
		errs = append(errs, fmt.Errorf("key %s: the id is also used in feed %s", k.ID, old.Feed))
	}
	for d := range k.digests {
		if o := s.byDigest(txn, d); o != nil && o.Feed != feed {
			errs = append(errs, fmt.Errorf("key %s: same token as key %s of feed %s", k.ID, o.ID, o.Feed))
		}
	}
	if len(errs) > 0 {
		delete(diff.originals, k.ID)
		return errors.Join(errs...)
	}
	if old == nil {
		diff.change.Added++
	} else {
		diff.change.Updated++
		diff.out = append(diff.out, old)
	}
	diff.in = append(diff.in, rec)
	return nil
}
