package boltstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// maxID is the maximum length of an ID: bbolt's keys can have 32 KiB, and the registry accepts 128 bytes.
const maxID = 1024

// Write implements registry.Storage.
func (s *Store) Write(ctx context.Context, records []*registry.Record, entries []*registry.AuditEntry) error {
	if len(records) == 0 && len(entries) == 0 {
		return ctx.Err()
	}
	for _, r := range records {
		if err := checkID(r.ID); err != nil {
			return err
		}
		if r.ID == "" || r.Digest.IsZero() {
			return fmt.Errorf("a record requires an id and a digest; the id is %q", r.ID)
		}
	}
	for _, e := range entries {
		if err := checkID(e.Key); err != nil {
			return err
		}
	}
	var revision, seq uint64 // before the first record
	err := s.update(ctx, func(t *writeTx) error {
		changes, err := checkWrite(t, records)
		if err != nil {
			return err
		}
		revision, seq = t.self.revision, t.self.seq
		for i, c := range changes {
			c.apply(t, records[i])
		}
		for _, e := range entries {
			t.putEntry(e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, r := range records {
		r.Revision = revision + uint64(i) + 1
	}
	for i, e := range entries {
		e.Seq = seq + uint64(i) + 1
	}
	return nil
}

// putEntry stores an audit entry with the next sequence.
func (t *writeTx) putEntry(e *registry.AuditEntry) {
	t.self.seq++
	t.put(bucketAudit, number(t.self.seq), recordcodec.AppendEntry(nil, e))
	if e.Key != "" {
		t.put(bucketAuditByKey, auditKey(e.Key, t.self.seq), nil)
	}
}

func checkID(id string) error {
	if len(id) > maxID || strings.ContainsRune(id, 0) {
		return fmt.Errorf("an id must have at most %d bytes and no NUL; this id starts with %.40q", maxID, id)
	}
	return nil
}

// recordChange is the set of changes that storing one record requires.
type recordChange struct {
	before  uint64        // current revision; 0: the record is new
	dropped []keys.Digest // digests that it no longer has
	unknown []byte        // fields of a newer minor version
}

// checkWrite returns the changes that storing the records requires, or an error if they cannot be stored. It does not modify the
// store.
func checkWrite(t *writeTx, records []*registry.Record) ([]recordChange, error) {
	var (
		d       recordcodec.Decoder
		changes = make([]recordChange, len(records))
		ids     = make(map[string]bool, len(records))
		freed   = make(map[keys.Digest]bool)
		owners  = make(map[keys.Digest]string, len(records))
	)
	for i, r := range records {
		if ids[r.ID] {
			return nil, fmt.Errorf("key %s: the record is specified twice: %w", r.ID, registry.ErrExists)
		}
		ids[r.ID] = true
		body, err := t.get(bucketRecords, []byte(r.ID))
		if err != nil {
			return nil, err
		}
		switch {
		case body == nil && r.Revision == 0:
			continue
		case body == nil:
			return nil, fmt.Errorf("key %s: the record does not exist: %w", r.ID, registry.ErrConflict)
		case r.Revision == 0:
			return nil, fmt.Errorf("key %s: %w", r.ID, registry.ErrExists)
		}
		old, unknown, err := d.Record([]byte(r.ID), body)
		if err != nil {
			return nil, rowError(bucketRecords, []byte(r.ID), err)
		}
		if old.Revision != r.Revision {
			return nil, fmt.Errorf("key %s: %w", r.ID, registry.ErrConflict)
		}
		changes[i] = recordChange{before: old.Revision, unknown: append([]byte(nil), unknown...)}
		for digest := range old.Digests() {
			if !has(r, digest) {
				changes[i].dropped = append(changes[i].dropped, digest)
				freed[digest] = true
			}
		}
	}
	for _, r := range records {
		for digest := range r.Digests() {
			owner, err := ownerOf(t.buckets[bucketDigests], digest)
			if err != nil {
				return nil, err
			}
			other, used := owners[digest]
			if used && other != r.ID || owner != "" && owner != r.ID && !freed[digest] {
				return nil, fmt.Errorf("key %s: the token: %w", r.ID, registry.ErrExists)
			}
			owners[digest] = r.ID
		}
	}
	return changes, nil
}

// apply stores a record with the next revision. Digests that it no longer has may already belong to another record.
func (c *recordChange) apply(t *writeTx, r *registry.Record) {
	stored := *r
	t.self.revision++
	stored.Revision = t.self.revision
	for _, digest := range c.dropped {
		if owner, err := ownerOf(t.buckets[bucketDigests], digest); err != nil || owner == r.ID {
			t.remove(bucketDigests, digest[:])
		}
	}
	for digest := range r.Digests() {
		t.put(bucketDigests, digest[:], []byte(r.ID))
	}
	if c.before != 0 {
		t.remove(bucketRevisions, number(c.before))
		if r.IsDeleted() {
			t.remove(bucketUse, []byte(r.ID))
			t.remove(bucketQuotas, []byte(r.ID))
		}
	}
	t.put(bucketRevisions, number(stored.Revision), []byte(r.ID))
	t.put(bucketRecords, []byte(r.ID), append(recordcodec.AppendRecord(nil, &stored), c.unknown...))
}

func has(r *registry.Record, digest keys.Digest) bool {
	for d := range r.Digests() {
		if d == digest {
			return true
		}
	}
	return false
}

// ownerOf returns the ID of the record that has a digest, or "".
func ownerOf(digests *bolt.Bucket, digest keys.Digest) (string, error) {
	id, err := bodyOf(digests, bucketDigests, digest[:])
	return string(id), err
}

// Get implements registry.Storage.
func (s *Store) Get(ctx context.Context, id string) (r *registry.Record, err error) {
	err = s.view(ctx, func(t *readTx) error {
		r, err = t.record([]byte(id))
		return err
	})
	return r, err
}

// ByDigest implements registry.Storage.
func (s *Store) ByDigest(ctx context.Context, digest keys.Digest) (r *registry.Record, err error) {
	err = s.view(ctx, func(t *readTx) error {
		id, err := bodyOf(t.tx.Bucket(bucketNames[bucketDigests]), bucketDigests, digest[:])
		switch {
		case err != nil:
			return err
		case id == nil:
			return registry.ErrNotFound
		}
		if r, err = t.record(id); errors.Is(err, registry.ErrNotFound) || err == nil && !has(r, digest) {
			return fmt.Errorf("%w: the bucket %s and the record of key %q are inconsistent", ErrDamaged, bucketNames[bucketDigests], id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (t *readTx) record(id []byte) (*registry.Record, error) {
	body, err := bodyOf(t.tx.Bucket(bucketNames[bucketRecords]), bucketRecords, id)
	switch {
	case err != nil:
		return nil, err
	case body == nil:
		return nil, fmt.Errorf("key %s: %w", id, registry.ErrNotFound)
	}
	r, _, err := new(recordcodec.Decoder).Record(id, body)
	if err != nil {
		return nil, rowError(bucketRecords, id, err)
	}
	return r, nil
}
