package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys/usage"
)

const (
	// noteAge is how long a note is kept. Older ones are removed with the next write of a note or of use, which comes
	// every minute on a gate that has anything to do.
	noteAge = 24 * time.Hour

	maxNotesDropped = 1000 // in one write
	maxNoteName     = 4096

	// useRows is how many rows of use go into one transaction, so that other writes get their turn.
	useRows = 2000
)

var errNoteName = errors.New("the name of a note has 1 to 4096 bytes")

// Remember implements registry.Storage. A note is kept for 24 hours.
func (s *Store) Remember(ctx context.Context, name, text string) error {
	if name == "" || len(name) > maxNoteName {
		return errNoteName
	}
	now := s.now()
	return s.update(ctx, func(t *writing) error {
		old, err := t.get(inNotes, []byte(name))
		if err != nil {
			return err
		}
		at, _, err := decodeNote(old)
		if err != nil {
			return rowError(inNotes, nil, err)
		}
		if old != nil {
			t.remove(inNotesByAge, byAge(at, name))
		}
		t.put(inNotes, []byte(name), noteBody(now, text))
		t.put(inNotesByAge, byAge(now, name), nil)
		return s.dropNotes(t)
	})
}

// Recall implements registry.Storage.
func (s *Store) Recall(ctx context.Context, name string) (text string, err error) {
	if name == "" || len(name) > maxNoteName {
		return "", errNoteName
	}
	err = s.view(ctx, func(t *reading) error {
		body, err := bodyOf(t.tx.Bucket(bucketNames[inNotes]), inNotes, []byte(name))
		if err != nil || body == nil {
			return err
		}
		at, found, err := decodeNote(body)
		if err != nil {
			return rowError(inNotes, nil, err)
		}
		if s.now().Sub(at) < noteAge {
			text = found
		}
		return nil
	})
	return text, err
}

// byAge is the key of a note in the bucket notes_by_age.
func byAge(at time.Time, name string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(max(0, at.Unix()))), name...)
}

// dropNotes removes notes that are too old.
func (s *Store) dropNotes(t *writing) error {
	limit := byAge(s.now().Add(-noteAge), "")
	var old [][]byte
	c := t.buckets[inNotesByAge].Cursor()
	for key, _ := c.First(); key != nil && len(old) < maxNotesDropped; key, _ = c.Next() {
		if slices.Compare(key, limit) >= 0 {
			break
		}
		old = append(old, slices.Clone(key))
	}
	for _, key := range old {
		t.remove(inNotesByAge, key)
		t.remove(inNotes, key[min(8, len(key)):])
	}
	return nil
}

// SaveUse implements registry.Storage. The rows are written in several transactions; after an error some may be stored.
func (s *Store) SaveUse(ctx context.Context, rows []usage.Row) error {
	for i := range rows {
		if err := checkID(rows[i].ID); err != nil {
			return err
		}
		if rows[i].ID == "" {
			return errors.New("a row of use needs the id of its key")
		}
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b usage.Row) int { return strings.Compare(a.ID, b.ID) }) // so that they share pages
	for part := range slices.Chunk(rows, useRows) {
		if err := s.update(ctx, func(t *writing) error {
			for i := range part {
				t.put(inUse, []byte(part[i].ID), useBody(&part[i]))
			}
			return s.dropNotes(t)
		}); err != nil {
			return err
		}
	}
	return nil
}

// Use implements registry.Storage.
func (s *Store) Use(ctx context.Context, yield func(usage.Row) error) error {
	return s.view(ctx, func(t *reading) error {
		return t.each(ctx, inUse, nil, func(id, body []byte) error {
			r, err := decodeUse(id, body)
			if err != nil {
				return rowError(inUse, id, err)
			}
			return t.hand(func() error { return yield(r) })
		})
	})
}
