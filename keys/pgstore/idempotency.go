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
