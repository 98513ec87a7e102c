package keys

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/hashicorp/go-memdb"
)

// Delta is what has changed in a feed: new or modified keys, and the IDs of deleted keys. No ID may be in it twice.
type Delta struct {
	Upserted []Key
	Deleted  []string
}

// Apply applies a delta of a feed in one transaction. Its cost depends on the size of the delta, not on the number of keys. IDs
// in Gone that the feed does not have are ignored.
//
// A key that Replace would reject is not stored, and if it was to update a key of the feed, that key is removed, since its
// stored record is outdated. Everything else is applied, because a revocation must not wait for another key. The error is then
// a *Refused: it lists every such key by its ID, one per line, without digests.
func (s *Store) Apply(feed string, delta Delta) (Change, error) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	txn := s.db.Txn(true)
	defer txn.Abort()

	w := &deltaTxn{
		store: s, txn: txn, feed: feed,
		owner: make(map[Digest]string, len(delta.Upserted)), pending: make(map[string]bool, len(delta.Upserted)+len(delta.Deleted)),
	}
	for i := range delta.Upserted {
		w.pending[delta.Upserted[i].ID] = true
	}
	var conflicts []error
	rejected := map[string]bool{}
	reject := func(id string, err error) {
		conflicts = append(conflicts, err)
		rejected[id] = true
	}
	for _, id := range delta.Deleted {
		if pending, repeated := w.pending[id]; repeated && !pending {
			continue
		}
		w.pending[id] = false
		w.delete(id)
	}
	for i := range delta.Upserted {
		k := &delta.Upserted[i]
		if !w.pending[k.ID] {
			reject(k.ID, fmt.Errorf("key %s: the id is used more than once", k.ID))
			continue
		}
		w.pending[k.ID] = false
		if err := w.put(k); err != nil {
			reject(k.ID, err)
			w.delete(k.ID)
		}
	}
	s.apply(txn, w.diff)
	if len(conflicts) > 0 {
		return w.diff.change, &ConflictError{ids: rejected, err: errors.Join(conflicts...)}
	}
	return w.diff.change, nil
}

// deltaTo returns the delta that turns the stored keys of a feed into set.
func (s *Store) deltaTo(feed string, set []Key) Delta {
	delta := Delta{Upserted: set}
	stays := make(map[string]struct{}, len(set))
	for i := range set {
		stays[set[i].ID] = struct{}{}
	}
	each(s.db.Txn(false), func(rec *record) {
		if _, ok := stays[rec.ID]; !ok && rec.Feed == feed {
			delta.Deleted = append(delta.Deleted, rec.ID)
		}
	})
	return delta
}

// deltaTxn is the state of applying one delta.
type deltaTxn struct {
	store *Store
	txn   *memdb.Txn
	feed  string
	diff  changeSet

	owner   map[Digest]string // ID of the delta's key that owns a digest
	pending map[string]bool   // all IDs of the delta: true until that key was processed
}

// delete adds the removal of a key to the changes, if the feed has it.
func (w *deltaTxn) delete(id string) {
	if old := w.store.byID(w.txn, id); old != nil && old.Feed == w.feed {
		w.diff.change.Removed++
		w.diff.out = append(w.diff.out, old)
	}
}

// put is Store.add for a key of a delta. It also checks for conflicts within the feed, most of whose keys are not in the delta.
func (w *deltaTxn) put(k *Key) error {
	if err := k.check(); err != nil {
		return err
	}
	for d := range k.digests {
		other, used := w.owner[*d]
		if rec := w.store.byDigest(w.txn, d); !used && rec != nil && rec.Feed == w.feed && rec.ID != k.ID {
			// A key that is also in the delta either gives up the digest or is rejected because of it.
			if _, inDelta := w.pending[rec.ID]; !inDelta {
				other, used = rec.ID, true
			}
		}
		if used {
			return fmt.Errorf("key %s: same token as key %s", k.ID, other)
		}
	}
	if err := w.store.add(w.txn, w.feed, k, &w.diff); err != nil {
		return err
	}
	for d := range k.digests {
		w.owner[*d] = k.ID
	}
	return nil
}

// changeSet is the set of changes of a write: out is removed from the tables and in is added. An updated key is in both.
type changeSet struct {
	out, in   []*record
	change    Change
	owned     bool            // the slices of the keys belong to the store
	originals map[string]*Key // of the keys with an override, changed or not
}

func (s *Store) apply(txn *memdb.Txn, diff changeSet) {
	s.keepOriginals(diff)
	if diff.change.IsZero() {
		return
	}
	// Copy the caller's slices. Not done for each key in Store.add: between the garbage of its lookups each of these small
	// copies would keep a piece of memory of four times its size alive, about 30 bytes per key for a million keys.
	if !diff.owned {
		for _, rec := range diff.in {
			rec.Binding.Sources, rec.PreviousTokens = slices.Clone(rec.Binding.Sources), slices.Clone(rec.PreviousTokens)
		}
	}
	edits := make([]bucketEdit, 0, len(diff.out)+len(diff.in))
	for _, rec := range diff.out {
		edits = appendDigests(edits, rec, true)
	}
	for _, rec := range diff.in {
		edits = appendDigests(edits, rec, false)
	}
	rebuildBuckets(txn, tableDigests, edits)
	edits = edits[:0]
	for _, rec := range diff.out {
		edits = append(edits, bucketEdit{entry{maphash.String(s.idSeed, rec.ID), rec}, true})
	}
	for _, rec := range diff.in {
		edits = append(edits, bucketEdit{entry{maphash.String(s.idSeed, rec.ID), rec}, false})
	}
	rebuildBuckets(txn, tableIDs, edits)
	// The order matters. The revision is incremented after the commit: a reader loads the revision before the lookup, so a
	// negative result from the old keys is never cached under the new revision. The old records are marked as retired before
	// this function returns, so no cache returns one of them afterwards.
	txn.Commit()
	s.size.Add(int64(diff.change.Added - diff.change.Removed))
	for _, rec := range diff.out {
		rec.retire()
	}
	s.revision.Add(1)
	for _, l := range s.listeners {
		l.KeysChanged(keysOf(diff.out), keysOf(diff.in))
	}
}

func keysOf(records []*record) []*Key {
	all := make([]*Key, len(records))
	for i, rec := range records {
		all[i] = &rec.Key
	}
	return all
}

// bucketEdit adds a record to a bucket or removes one.
type bucketEdit struct {
	entry
	remove bool
}

func appendDigests(edits []bucketEdit, rec *record, remove bool) []bucketEdit {
	for d := range rec.digests {
		edits = append(edits, bucketEdit{entry{d.hash(), rec}, remove})
	}
	return edits
}

// rebuildBuckets rebuilds each bucket that the edits affect once, on a copy: readers may still use the old one. It sorts the edits.
func rebuildBuckets(txn *memdb.Txn, table string, edits []bucketEdit) {
	slices.SortFunc(edits, func(a, b bucketEdit) int { return cmp.Compare(bucketIndex(a.hash), bucketIndex(b.hash)) })
	// All reads are before the first write: after a read go-memdb copies the nodes of its tree again for the next write.
	var buckets []*bucket
	for len(edits) > 0 {
		slot := bucketIndex(edits[0].hash)
		n := 1
		for n < len(edits) && bucketIndex(edits[n].hash) == slot {
			n++
		}
		buckets = append(buckets, rebuildBucket(slot, entries(txn, table, slot), edits[:n]))
		edits = edits[n:]
	}
	for _, b := range buckets {
		mustNotFail(put(txn, table, b))
	}
}

func rebuildBucket(slot uint16, old []entry, edits []bucketEdit) *bucket {
	size := len(old)
	for _, e := range edits {
		if e.remove {
			size--
		} else {
			size++
		}
	}
	b := &bucket{slot: slot, entries: make([]entry, 0, size)}
	for _, o := range old {
		if !slices.ContainsFunc(edits, func(e bucketEdit) bool { return e.remove && e.rec == o.rec && e.hash == o.hash }) {
			b.entries = append(b.entries, o)
		}
	}
	for _, e := range edits {
		if !e.remove {
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

// mustNotFail panics on errors that only a bug in this package can cause: a table that is not in the schema, or an object that is not
// a bucket. The deferred Abort ends the transaction.
func mustNotFail(err error) {
	if err != nil {
		panic(fmt.Sprintf("writing the key store: %v", err))
	}
}
