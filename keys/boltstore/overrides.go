package boltstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/docsgate/docsgate/keys/registry"
)

// Fields of an override. The ID is the key of the row.
const (
	overrideDisabled = iota + 1
	overridePolicy
	overrideChanged
	overrideRevision
	overrideSigning
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
			if err := decodeOverride(&before, body); err != nil {
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
			t.put(bucketOverrides, []byte(o.ID), overrideBody(&stored))
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
			if err := decodeOverride(o, body); err != nil {
				return rowError(bucketOverrides, id, err)
			}
			return t.callBack(func() error { return yield(o) })
		})
	})
}

func overrideBody(o *registry.Override) []byte {
	var b []byte
	if o.Disabled {
		b = appendNumber(b, overrideDisabled, 1)
	}
	b = appendPolicy(b, overridePolicy, o.Policy)
	b = appendTime(b, overrideChanged, o.Changed)
	b = appendNumber(b, overrideRevision, o.Revision)
	return appendSigning(b, overrideSigning, o.Signing)
}

// decodeOverride decodes an override. An unknown field is an error, since it may restrict the key.
func decodeOverride(o *registry.Override, body []byte) error {
	return fields(body, func(f field) (err error) {
		switch f.number {
		case overrideDisabled:
			o.Disabled = f.varint != 0
		case overridePolicy:
			o.Policy, err = decodePolicy(f.bytes)
		case overrideChanged:
			err = f.time(&o.Changed)
		case overrideRevision:
			o.Revision = f.varint
		case overrideSigning:
			o.Signing, err = decodeSigning(f.bytes)
		default:
			err = errBody
		}
		return err
	})
}
