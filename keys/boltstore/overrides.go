package boltstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// WriteOverride implements registry.Storage.
func (s *Store) WriteOverride(ctx context.Context, o *registry.Override, entry *registry.AuditEntry) error {
	if err := errors.Join(checkID(o.ID), checkID(entry.Key)); err != nil {
		return err
	}
	if o.ID == "" {
		return errors.New("an override requires the id of its key")
	}
	stored, seq := *o, uint64(0)
	err := s.update(ctx, func(t *writeTx) error {
		body, err := t.get(bucketOverrides, []byte(o.ID))
		if err != nil {
			return err
		}
		var before registry.Override
		if body != nil {
			if err := recordcodec.DecodeOverride(&before, body); err != nil {
				return rowError(bucketOverrides, []byte(o.ID), err)
			}
		}
		if before.Revision != o.Revision {
			return fmt.Errorf("key %s: %w", o.ID, registry.ErrConflict)
		}
		t.self.revision++
		if stored.Revision = t.self.revision; stored.IsZero() {
			stored.Revision = 0
			t.remove(bucketOverrides, []byte(o.ID))
		} else {
			t.put(bucketOverrides, []byte(o.ID), recordcodec.AppendOverride(nil, &stored))
		}
		t.putEntry(entry)
		seq = t.self.seq
		return nil
	})
	if err != nil {
		return err
	}
	o.Revision, entry.Seq = stored.Revision, seq
	return nil
}

// Overrides implements registry.Storage.
func (s *Store) Overrides(ctx context.Context, yield func(*registry.Override) error) error {
	return s.view(ctx, func(t *readTx) error {
		return t.each(ctx, bucketOverrides, nil, func(id, body []byte) error {
			o := &registry.Override{ID: string(id)}
			if err := recordcodec.DecodeOverride(o, body); err != nil {
				return rowError(bucketOverrides, id, err)
			}
			return t.callBack(func() error { return yield(o) })
		})
	})
}
