package pgstore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/usage"
)

// chunkRows is the maximum number of rows in one statement.
const chunkRows = 2000

// SaveUse implements registry.Storage. The rows are written in several transactions; after an error some of them may be stored.
func (s *Store) SaveUse(ctx context.Context, rows []usage.Row) error {
	return save(ctx, s, "usage", rows, func(r *usage.Row) (string, []byte) { return r.ID, recordcodec.AppendUse(nil, r) })
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
	if err := save(ctx, s, "quotas", rows, func(r *quota.Row) (string, []byte) { return r.ID, recordcodec.AppendQuota(nil, r) }); err != nil {
		return err
	}
	for chunk := range slices.Chunk(remove, chunkRows) {
		if err := s.exec(ctx, "DELETE FROM quotas WHERE id = ANY($1)", chunk); err != nil {
			return err
		}
	}
	return nil
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

// save replaces the rows of a table with an id and a body. The last of several rows with the same ID is stored.
func save[R any](ctx context.Context, s *Store, table string, rows []R, encode func(*R) (id string, body []byte)) error {
	type row struct {
		id   string
		body []byte
	}
	all := make([]row, len(rows))
	for i := range rows {
		if all[i].id, all[i].body = encode(&rows[i]); all[i].id == "" {
			return errors.New("a row of " + table + " requires the id of its key")
		}
	}
	// In one order, so that the writes of two gates do not wait for each other.
	slices.SortStableFunc(all, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	for chunk := range slices.Chunk(all, chunkRows) {
		ids, bodies := make([]string, 0, len(chunk)), make([][]byte, 0, len(chunk))
		for _, r := range chunk {
			if n := len(ids); n > 0 && ids[n-1] == r.id {
				bodies[n-1] = r.body
				continue
			}
			ids, bodies = append(ids, r.id), append(bodies, r.body)
		}
		if err := s.exec(ctx, "INSERT INTO "+table+` (id, body) SELECT * FROM unnest($1::text[], $2::bytea[])
			ON CONFLICT (id) DO UPDATE SET body = excluded.body`, ids, bodies); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// exec runs one statement in a transaction that first checks the format.
func (s *Store) exec(ctx context.Context, query string, args ...any) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	limited, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := pgx.BeginFunc(limited, s.pool, func(tx pgx.Tx) error {
		if _, _, err := readState(limited, tx, ""); err != nil {
			return err
		}
		_, err := tx.Exec(limited, query, args...)
		return err
	})
	if err = s.userError(err); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
