package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/idsecrets"
	"github.com/docsgate/docsgate/keys/registry"
)

var _ idsecrets.Storage = (*Store)(nil)

// IDSecrets implements idsecrets.Storage.
func (s *Store) IDSecrets(ctx context.Context) (stored idsecrets.Snapshot, err error) {
	err = s.view(ctx, s.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT identity FROM blocklist").Scan(&stored.Blocklist); err != nil {
			return err
		}
		stored.Rows, err = idSecrets(ctx, tx)
		return err
	})
	return stored, err
}

func idSecrets(ctx context.Context, tx pgx.Tx) ([]idsecrets.Row, error) {
	rows, err := tx.Query(ctx, `SELECT number, (extract(epoch FROM signs_at - now()) * 1000000)::bigint, body FROM id_secrets
		ORDER BY signs_at, number`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r idsecrets.Row, err error) {
		var micros int64
		err = row.Scan(&r.Number, &micros, &r.Body)
		r.SignsIn = time.Duration(micros) * time.Microsecond
		return r, err
	})
}

// ChangeIDSecrets implements idsecrets.Storage.
func (s *Store) ChangeIDSecrets(ctx context.Context, change func(rows []idsecrets.Row) (put []idsecrets.Row, remove []uint8, err error)) error {
	return s.update(ctx, func(ctx context.Context, t *writeTx) error {
		rows, err := idSecrets(ctx, t)
		if err != nil {
			return err
		}
		put, remove, err := change(rows)
		if err != nil {
			return &callbackError{err}
		}
		var encrypted []string
		for _, r := range put {
			encrypted = append(encrypted, registry.EncryptionKey(r.Body))
		}
		if err := t.checkEncryption(ctx, encrypted); err != nil {
			return err
		}
		for _, number := range remove {
			if _, err := t.Exec(ctx, "DELETE FROM id_secrets WHERE number = $1", number); err != nil {
				return err
			}
		}
		for _, r := range put {
			if _, err := t.Exec(ctx, `INSERT INTO id_secrets (number, signs_at, body) VALUES ($1, now() + $2::interval, $3)
				ON CONFLICT (number) DO UPDATE SET body = excluded.body`, int16(r.Number), r.SignsIn, r.Body); err != nil {
				return err
			}
		}
		return nil
	})
}
