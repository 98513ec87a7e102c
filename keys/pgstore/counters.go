package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/usage"
)

func (s *Store) usage() *totals[usage.Row] {
	return &totals[usage.Row]{
		store: s, table: "usage", decode: recordcodec.DecodeUse, add: usage.Row.AddDelta,
		encode: func(r *usage.Row) (string, []byte) { return r.ID, recordcodec.AppendUse(nil, r) },
	}
}

func (s *Store) quotas() *totals[quota.Row] {
	return &totals[quota.Row]{
		store: s, table: "quotas", decode: recordcodec.DecodeQuota, add: quota.Row.AddDelta, expired: quota.Row.Expired,
		encode: func(r *quota.Row) (string, []byte) { return r.ID, recordcodec.AppendQuota(nil, r) },
	}
}

// SharedUse implements registry.SharedStorage.
func (s *Store) SharedUse() countersync.Storage[usage.Row] { return s.usage() }

// SharedQuotas implements registry.SharedStorage.
func (s *Store) SharedQuotas() countersync.Storage[quota.Row] { return s.quotas() }

// SaveUse implements registry.Storage. The rows are written in several transactions; after an error some of them may be stored.
func (s *Store) SaveUse(ctx context.Context, rows []usage.Row) error {
	return s.usage().save(ctx, rows, nil)
}

// Use implements registry.Storage.
func (s *Store) Use(ctx context.Context, yield func(usage.Row) error) error {
	return s.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error { return eachUse(ctx, tx, yield) })
}

func eachUse(ctx context.Context, tx pgx.Tx, yield func(usage.Row) error) error {
	return eachRow(ctx, tx, "usage", recordcodec.DecodeUse, yield)
}

// SaveQuotas implements registry.Storage. Like SaveUse, it writes in several transactions.
func (s *Store) SaveQuotas(ctx context.Context, rows []quota.Row, remove []string) error {
	return s.quotas().save(ctx, rows, remove)
}

// Quotas implements registry.Storage.
func (s *Store) Quotas(ctx context.Context, yield func(quota.Row) error) error {
	return s.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error { return eachQuota(ctx, tx, yield) })
}

func eachQuota(ctx context.Context, tx pgx.Tx, yield func(quota.Row) error) error {
	return eachRow(ctx, tx, "quotas", recordcodec.DecodeQuota, yield)
}

// eachRow calls yield for the rows of a table with an id and a body.
func eachRow[R any](ctx context.Context, tx pgx.Tx, table string, decode func(id, body []byte) (R, error), yield func(R) error) error {
	return eachBody(ctx, tx, table, func(id, body []byte) error {
		r, err := decode(id, body)
		if err != nil {
			return rowError(table, string(id), err)
		}
		if err := yield(r); err != nil {
			return &callbackError{err}
		}
		return nil
	})
}

// exec runs one statement in a transaction that first checks the format.
func (s *Store) exec(ctx context.Context, query string, args ...any) error {
	return s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

// change is transact for f that requires the format of this version.
func (s *Store) change(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, _, err := readState(ctx, tx, ""); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// transact runs f in a transaction that does not take the lock of all writes.
func (s *Store) transact(ctx context.Context, f func(ctx context.Context, tx pgx.Tx) error) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	limited, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := pgx.BeginFunc(limited, s.pool, func(tx pgx.Tx) error { return f(limited, tx) })
	if err = s.userError(err); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
