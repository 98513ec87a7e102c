package keys

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/hashicorp/go-memdb"
)

// Delta is what has changed in a feed: keys that are new or other than before, and the ids of keys that are gone. No id
// stands in it twice.
type Delta struct {
	Put  []Key
	Gone []string
}

// Apply brings a delta of a feed into the store, in one transaction. Its cost depends on the delta, not on the number of
// keys. Ids that the feed does not have are no error in Gone.
//
// A key that Replace would refuse is not stored, and one of the feed's that it was to update is taken away: it is no
// longer what the store has. Everything else is applied, since a revocation must not wait for another key. The error is a
// *Refused: it names every such key by its id, one a line, and no digest.
func (s *Store) Apply(feed string, delta Delta) (Change, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	txn := s.db.Txn(true)
	defer txn.Abort()

	w := &deltaWrite{
		store: s, txn: txn, feed: feed,
		owner: make(map[Digest]string, len(delta.Put)), pending: make(map[string]bool, len(delta.Put)+len(delta.Gone)),
	}
	for i := range delta.Put {
		w.pending[delta.Put[i].ID] = true
	}
	var faults []error
	refused := map[string]bool{}
	refuse := func(id string, err error) {
		faults = append(faults, err)
		refused[id] = true
	}
	for _, id := range delta.Gone {
		if pending, repeated := w.pending[id]; repeated && !pending {
			continue
		}
		w.pending[id] = false
		w.takeAway(id)
	}
	for i := range delta.Put {
		k := &delta.Put[i]
		if !w.pending[k.ID] {
			refuse(k.ID, fmt.Errorf("key %s: the id is used more than once", k.ID))
			continue
		}
		w.pending[k.ID] = false
		if err := w.put(k); err != nil {
			refuse(k.ID, err)
			w.takeAway(k.ID)
		}
	}
	s.apply(txn, w.diff)
	if len(faults) > 0 {
		return w.diff.change, &Refused{ids: refused, err: errors.Join(faults...)}
	}
	return w.diff.change, nil
}

// deltaTo returns the delta that makes set the keys of a feed.
func (s *Store) deltaTo(feed string, set []Key) Delta {
	delta := Delta{Put: set}
	stays := make(map[string]struct{}, len(set))
	for i := range set {
		stays[set[i].ID] = struct{}{}
	}
	each(s.db.Txn(false), func(rec *record) {
		if _, ok := stays[rec.ID]; !ok && rec.Feed == feed {
			delta.Gone = append(delta.Gone, rec.ID)
		}
	})
	return delta
}

// deltaWrite is a delta on its way into the tables.
type deltaWrite struct {
	store *Store
	txn   *memdb.Txn
	feed  string
	diff  difference

	owner   map[Digest]string // the key of the delta that has taken a digest
	pending map[string]bool   // all ids of the delta: true until it is that key's turn
}

// takeAway notes that a key leaves, if the feed has it.
func (w *deltaWrite) takeAway(id string) {
	if old := w.store.byID(w.txn, id); old != nil && old.Feed == w.feed {
		w.diff.change.Removed++
		w.diff.out = append(w.diff.out, old)
	}
}

// put is Store.add for a key of a delta: the other keys of its feed, which are not all in the delta, have digests, too.
func (w *deltaWrite) put(k *Key) error {
	if err := k.check(); err != nil {
		return err
	}
	for d := range k.digests {
		other, taken := w.owner[*d]
		if rec := w.store.byDigest(w.txn, d); !taken && rec != nil && rec.Feed == w.feed && rec.ID != k.ID {
			// A key that the delta names, too, either lets go of the digest or is refused for it.
			if _, named := w.pending[rec.ID]; !named {
				other, taken = rec.ID, true
			}
		}
		if taken {
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

// difference is what a write has to do: out leaves the tables and in enters them. An updated key is in both.
type difference struct {
	out, in []*record
	change  Change
}

func (s *Store) apply(txn *memdb.Txn, diff difference) {
	if diff.change.IsZero() {
		return
	}
	// Nothing of the caller's is kept. Not done key by key in Store.add: between the garbage of its look-ups each of these few
	// bytes would keep a piece of memory four times their size, some 30 bytes a key of a million.
	for _, rec := range diff.in {
		rec.Binding.Sources, rec.Old = slices.Clone(rec.Binding.Sources), slices.Clone(rec.Old)
	}
	rewrite(txn, tableDigests, diff, func(r *record, yield func(uint64)) {
		for d := range r.digests {
			yield(d.hash())
		}
	})
	rewrite(txn, tableIDs, diff, func(r *record, yield func(uint64)) { yield(maphash.String(s.idSeed, r.ID)) })
	// The order matters. The revision moves after the commit: a reader takes the revision first and then looks, so what it
	// did not find in the old keys can never pass for knowledge of the new ones. The old records are marked before this
	// returns, so from then on no cache can answer with one.
	txn.Commit()
	s.size.Add(int64(diff.change.Added - diff.change.Removed))
	for _, rec := range diff.out {
		rec.retired.Store(true)
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

// edit is one record that enters or leaves a bucket.
type edit struct {
	entry
	leaves bool
}

// rewrite builds each bucket that a difference touches once, from a copy: readers may hold the old one.
func rewrite(txn *memdb.Txn, table string, diff difference, hashes func(r *record, yield func(uint64))) {
	edits := make([]edit, 0, len(diff.out)+len(diff.in))
	for _, rec := range diff.out {
		hashes(rec, func(hash uint64) { edits = append(edits, edit{entry: entry{hash, rec}, leaves: true}) })
	}
	for _, rec := range diff.in {
		hashes(rec, func(hash uint64) { edits = append(edits, edit{entry: entry{hash, rec}}) })
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
		if !slices.ContainsFunc(edits, func(e edit) bool { return e.leaves && e.rec == o.rec && e.hash == o.hash }) {
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
