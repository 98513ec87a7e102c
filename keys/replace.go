package keys

import (
	"errors"
	"fmt"

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
	s.writing.Lock()
	defer s.writing.Unlock()
	txn := s.db.Txn(true)
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

// compare finds what Replace has to do.
func (s *Store) compare(txn *memdb.Txn, feed string, set []Key) (difference, error) {
	var (
		diff     difference
		faults   []error
		byID     = make(map[string]struct{}, len(set))
		byDigest = make(map[Digest]int, len(set))
	)
	for i := range set {
		k := &set[i]
		if err := k.check(); err != nil {
			faults = append(faults, err)
			continue
		}
		if _, repeated := byID[k.ID]; repeated {
			faults = append(faults, fmt.Errorf("key %s: the id is used more than once", k.ID))
		}
		byID[k.ID] = struct{}{}
		for d := range k.digests {
			if first, repeated := byDigest[*d]; repeated {
				faults = append(faults, fmt.Errorf("key %s: same token as key %s", k.ID, set[first].ID))
			} else {
				byDigest[*d] = i
			}
		}
		if err := s.add(txn, feed, k, &diff); err != nil {
			faults = append(faults, err)
		}
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

// add notes what has to be done for one good key of a feed. An error says that the key is in conflict with another feed's.
func (s *Store) add(txn *memdb.Txn, feed string, k *Key, diff *difference) error {
	rec := &record{Key: *k}
	rec.Feed = feed
	old := s.byID(txn, k.ID)
	if old != nil && rec.same(&old.Key) {
		return nil
	}
	var faults []error
	if old != nil && old.Feed != feed {
		faults = append(faults, fmt.Errorf("key %s: the id is used in feed %s, too", k.ID, old.Feed))
	}
	for d := range k.digests {
		if o := s.byDigest(txn, d); o != nil && o.Feed != feed {
			faults = append(faults, fmt.Errorf("key %s: same token as key %s of feed %s", k.ID, o.ID, o.Feed))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
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
