package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// All implements registry.Storage. Each record is newly allocated, so yield may retain it.
func (s *Store) All(ctx context.Context, yield func(*registry.Record) error) (revision uint64, err error) {
	err = s.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error {
		revision, err = allRecords(ctx, tx, yield)
		return err
	})
	return revision, err
}

func allRecords(ctx context.Context, tx pgx.Tx, yield func(*registry.Record) error) (revision uint64, err error) {
	if revision, _, err = readState(ctx, tx, ""); err != nil {
		return 0, err
	}
	return revision, eachRecord(ctx, tx, yield, "SELECT id, revision, body FROM keys ORDER BY id")
}

// Changes implements registry.Storage. The records are in the order of their last writes.
func (s *Store) Changes(ctx context.Context, after uint64, yield func(*registry.Record) error) (revision uint64, err error) {
	err = s.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error {
		if revision, _, err = readState(ctx, tx, ""); err != nil || after >= revision {
			return err
		}
		return eachRecord(ctx, tx, yield, "SELECT id, revision, body FROM keys WHERE revision > $1 ORDER BY revision", int64(after))
	})
	return revision, err
}

// Count implements registry.SizedStorage.
func (s *Store) Count(ctx context.Context) (n int, err error) {
	err = s.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM keys").Scan(&n)
	})
	return n, err
}

// Get implements registry.Storage.
func (s *Store) Get(ctx context.Context, id string) (*registry.Record, error) {
	return s.one(ctx, "key "+id, "SELECT id, revision, body FROM keys WHERE id = $1", id)
}

// ByDigest implements registry.Storage.
func (s *Store) ByDigest(ctx context.Context, d keys.Digest) (*registry.Record, error) {
	return s.one(ctx, "the token", "SELECT id, revision, body FROM keys WHERE id = (SELECT key_id FROM tokens WHERE digest = $1)", d[:])
}

func (s *Store) one(ctx context.Context, what, query string, args ...any) (r *registry.Record, err error) {
	err = s.view(ctx, s.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		return eachRecord(ctx, tx, func(found *registry.Record) error { r = found; return nil }, query, args...)
	})
	if err == nil && r == nil {
		err = fmt.Errorf("%s: %w", what, registry.ErrNotFound)
	}
	return r, err
}

// eachRecord calls yield for the rows of a query, which have an id, a revision and a body.
func eachRecord(ctx context.Context, tx pgx.Tx, yield func(*registry.Record) error, query string, args ...any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var d recordcodec.Decoder
	for rows.Next() {
		var (
			id, body pgtype.DriverBytes
			revision uint64
		)
		if err := rows.Scan(&id, &revision, &body); err != nil {
			return err
		}
		r, _, err := d.Record(id, body)
		if err == nil && r.Revision != revision {
			err = errors.New("the revision differs from that of the row")
		}
		if err != nil {
			return rowError("keys", string(id), err)
		}
		if err := yield(r); err != nil {
			return &callbackError{err}
		}
	}
	return rows.Err()
}

// Audit implements registry.Storage.
func (s *Store) Audit(ctx context.Context, key string, before uint64, limit int) (entries []registry.AuditEntry, err error) {
	err = s.view(ctx, s.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		entries, err = readAudit(ctx, tx, key, before, limit)
		return err
	})
	return entries, err
}

func readAudit(ctx context.Context, tx pgx.Tx, key string, before uint64, limit int) (entries []registry.AuditEntry, err error) {
	if before == 0 || before > 1<<63-1 {
		before = 1<<63 - 1
	}
	query, args := "SELECT seq, body FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2", []any{int64(before), limit}
	if key != "" {
		query = "SELECT seq, body FROM audit WHERE key_id = $3 AND key_id <> '' AND seq < $1 ORDER BY seq DESC LIMIT $2"
		args = append(args, key)
	}
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			seq  uint64
			body []byte
		)
		if err := rows.Scan(&seq, &body); err != nil {
			return nil, err
		}
		e, err := recordcodec.DecodeEntry(seq, body)
		if err != nil {
			return nil, rowError("audit", fmt.Sprint(seq), err)
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// eachBody calls f for the rows of a table with an id and a body, sorted by id.
func eachBody(ctx context.Context, tx pgx.Tx, table string, f func(id, body []byte) error) error {
	rows, err := tx.Query(ctx, "SELECT id, body FROM "+table+" ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, body pgtype.DriverBytes
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		if err := f(id, body); err != nil {
			return err
		}
	}
	return rows.Err()
}
