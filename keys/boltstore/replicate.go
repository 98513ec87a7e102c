package boltstore

import (
	"context"
	"errors"

	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// rowOrigin is the row of the bucket meta with Replication.Origin. Only copies of other storages have it.
var rowOrigin = []byte("origin")

// Replication is a part of another storage that is stored in a copy of it.
type Replication struct {
	Records      []*registry.Record   // with the revisions of the other storage
	HasOverrides bool                 // Overrides replace all overrides of the copy
	Overrides    []*registry.Override // with the revisions of the other storage
	Revision     uint64               // newest revision of the copy
	Origin       []byte               // describes what the copy is of; see Origin
}

// Replicate stores a part of another storage atomically, which must be consistent together with what was stored before. A Store that
// Replicate is used with must not be written to otherwise, and has no audit trail.
func (s *Store) Replicate(ctx context.Context, part Replication) error {
	for _, r := range part.Records {
		if err := checkID(r.ID); err != nil {
			return err
		}
		if r.ID == "" || r.Digest.IsZero() {
			return errors.New("a record requires an id and a digest")
		}
	}
	return s.update(ctx, func(t *writeTx) error {
		// All errors come before the first change.
		changes, err := replications(t, part.Records)
		if err != nil {
			return err
		}
		var removed [][]byte
		if part.HasOverrides {
			if removed, err = t.keys(bucketOverrides); err != nil {
				return err
			}
		}
		for i, c := range changes {
			t.self.revision = part.Records[i].Revision - 1
			c.apply(t, part.Records[i])
		}
		for _, id := range removed {
			t.remove(bucketOverrides, id)
		}
		for _, o := range part.Overrides {
			t.put(bucketOverrides, []byte(o.ID), recordcodec.AppendOverride(nil, o))
		}
		t.self.revision = part.Revision
		t.put(bucketMeta, rowOrigin, part.Origin)
		t.self.counts[bucketMeta] = 0
		return nil
	})
}

// replications is like checkWrite, without its rules.
func replications(t *writeTx, records []*registry.Record) ([]recordChange, error) {
	var d recordcodec.Decoder
	changes := make([]recordChange, len(records))
	for i, r := range records {
		body, err := t.get(bucketRecords, []byte(r.ID))
		if err != nil {
			return nil, err
		}
		if body == nil {
			continue
		}
		old, _, err := d.Record([]byte(r.ID), body)
		if err != nil {
			return nil, rowError(bucketRecords, []byte(r.ID), err)
		}
		changes[i].before = old.Revision
		for digest := range old.Digests() {
			if !has(r, digest) {
				changes[i].dropped = append(changes[i].dropped, digest)
			}
		}
	}
	return changes, nil
}

// keys returns copies of the keys of a bucket.
func (t *writeTx) keys(bucket int) (all [][]byte, err error) {
	err = t.buckets[bucket].ForEach(func(key, _ []byte) error {
		all = append(all, append([]byte(nil), key...))
		return nil
	})
	return all, err
}

// Origin returns Replication.Origin of the last Replicate, or nil.
func (s *Store) Origin(ctx context.Context) (origin []byte, err error) {
	err = s.view(ctx, func(t *readTx) error {
		body, err := bodyOf(t.tx.Bucket(bucketNames[bucketMeta]), bucketMeta, rowOrigin)
		origin = append([]byte(nil), body...)
		return err
	})
	return origin, err
}
