package boltstore

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

const (
	// idempotencyTTL is how long an idempotency record is stored. Expired records are removed with the next write of an idempotency
	// record or of usage, which happens every minute if the gate is in use.
	idempotencyTTL = 24 * time.Hour

	maxNotesDeleted = 1000 // per write
)

// PutIdempotencyRecord implements registry.Storage. The record expires after 24 hours.
func (s *Store) PutIdempotencyRecord(ctx context.Context, name, text string) error {
	if err := registry.CheckIdempotencyName(name); err != nil {
		return err
	}
	now := s.now()
	return s.update(ctx, func(t *writeTx) error {
		old, err := t.get(bucketNotes, []byte(name))
		if err != nil {
			return err
		}
		at, _, err := decodeNote(old)
		if err != nil {
			return rowError(bucketNotes, nil, err)
		}
		if old != nil {
			t.remove(bucketNotesByAge, byAge(at, name))
		}
		t.put(bucketNotes, []byte(name), noteBody(now, text))
		t.put(bucketNotesByAge, byAge(now, name), nil)
		return s.deleteExpiredNotes(t)
	})
}

// GetIdempotencyRecord implements registry.Storage.
func (s *Store) GetIdempotencyRecord(ctx context.Context, name string) (text string, err error) {
	if err := registry.CheckIdempotencyName(name); err != nil {
		return "", err
	}
	err = s.view(ctx, func(t *readTx) error {
		body, err := bodyOf(t.tx.Bucket(bucketNames[bucketNotes]), bucketNotes, []byte(name))
		if err != nil || body == nil {
			return err
		}
		at, found, err := decodeNote(body)
		if err != nil {
			return rowError(bucketNotes, nil, err)
		}
		if s.now().Sub(at) < idempotencyTTL {
			text = found
		}
		return nil
	})
	return text, err
}

// byAge returns the key of an idempotency record in the bucket notes_by_age.
func byAge(at time.Time, name string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(max(0, at.Unix()))), name...)
}

// deleteExpiredNotes removes expired idempotency records.
func (s *Store) deleteExpiredNotes(t *writeTx) error {
	limit := byAge(s.now().Add(-idempotencyTTL), "")
	var old [][]byte
	c := t.buckets[bucketNotesByAge].Cursor()
	for key, _ := c.First(); key != nil && len(old) < maxNotesDeleted; key, _ = c.Next() {
		if slices.Compare(key, limit) >= 0 {
			break
		}
		old = append(old, slices.Clone(key))
	}
	for _, key := range old {
		t.remove(bucketNotesByAge, key)
		t.remove(bucketNotes, key[min(8, len(key)):])
	}
	return nil
}
