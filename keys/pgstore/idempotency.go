package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/registry"
)

// PutIdempotencyRecord implements registry.Storage. The record expires after 24 hours, by the clock of the server.
func (s *Store) PutIdempotencyRecord(ctx context.Context, name, text string) error {
	if err := registry.CheckIdempotencyName(name); err != nil {
		return err
	}
	if err := s.exec(ctx, "DELETE FROM idempotency_records WHERE at < now() - interval '24 hours'"); err != nil {
		return err
	}
	return s.exec(ctx, `INSERT INTO idempotency_records (name, body) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET at = excluded.at, body = excluded.body`, name, []byte(text))
}

// ClaimIdempotencyRecord implements registry.IdempotencyClaims.
func (s *Store) ClaimIdempotencyRecord(ctx context.Context, name, text string) (stored string, err error) {
	if err := registry.CheckIdempotencyName(name); err != nil {
		return "", err
	}
	err = s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO idempotency_records AS r (name, body) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET at = excluded.at, body = excluded.body
			WHERE r.body = '' OR r.at < now() - interval '24 hours'`, name, []byte(text))
		if err != nil || tag.RowsAffected() > 0 {
			return err
		}
		var body []byte
		err = tx.QueryRow(ctx, "SELECT body FROM idempotency_records WHERE name = $1", name).Scan(&body)
		stored = string(body)
		return err
	})
	return stored, err
}

// GetIdempotencyRecord implements registry.Storage.
func (s *Store) GetIdempotencyRecord(ctx context.Context, name string) (string, error) {
	if err := registry.CheckIdempotencyName(name); err != nil {
		return "", err
	}
	var body []byte
	err := s.view(ctx, s.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "SELECT body FROM idempotency_records WHERE name = $1 AND at >= now() - interval '24 hours'", name).Scan(&body)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return string(body), err
}
