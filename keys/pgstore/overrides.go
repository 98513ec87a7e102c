package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// WriteOverride implements registry.Storage.
func (s *Store) WriteOverride(ctx context.Context, o *registry.Override, entry *registry.AuditEntry) error {
	var stored, seq uint64
	err := s.update(ctx, func(ctx context.Context, t *writeTx) (err error) {
		stored, err = t.writeOverride(ctx, o, entry)
		seq = t.seq
		return err
	})
	if err != nil {
		return err
	}
	o.Revision, entry.Seq = stored, seq
	return nil
}

// writeOverride returns the new revision of the override; 0: it was removed.
func (t *writeTx) writeOverride(ctx context.Context, o *registry.Override, entry *registry.AuditEntry) (revision uint64, err error) {
	if o.ID == "" {
		return 0, errors.New("an override requires the id of its key")
	}
	var before uint64
	err = t.QueryRow(ctx, "SELECT revision FROM overrides WHERE id = $1", o.ID).Scan(&before)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, err
	}
	if before != o.Revision {
		return 0, fmt.Errorf("key %s: %w", o.ID, registry.ErrConflict)
	}
	if err := t.checkEncryption(ctx, o.EncryptionKeys()); err != nil {
		return 0, err
	}
	t.revision++
	stored := *o
	stored.Revision = t.revision
	if stored.IsZero() {
		stored.Revision = 0
		_, err = t.Exec(ctx, "DELETE FROM overrides WHERE id = $1", o.ID)
	} else {
		_, err = t.Exec(ctx, `INSERT INTO overrides (id, revision, body) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, body = excluded.body`,
			o.ID, int64(stored.Revision), recordcodec.AppendOverride(nil, &stored))
	}
	if err != nil {
		return 0, err
	}
	if _, err := t.Exec(ctx, "UPDATE state SET overrides_revision = $1", int64(t.revision)); err != nil {
		return 0, err
	}
	return stored.Revision, t.putEntries(ctx, []*registry.AuditEntry{entry})
}

// Overrides implements registry.Storage.
func (s *Store) Overrides(ctx context.Context, yield func(*registry.Override) error) error {
	return s.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error { return eachOverride(ctx, tx, yield) })
}

func eachOverride(ctx context.Context, tx pgx.Tx, yield func(*registry.Override) error) error {
	return eachBody(ctx, tx, "overrides", func(id, body []byte) error {
		o := &registry.Override{ID: string(id)}
		if err := recordcodec.DecodeOverride(o, body); err != nil {
			return rowError("overrides", o.ID, err)
		}
		if err := yield(o); err != nil {
			return &callbackError{err}
		}
		return nil
	})
}
