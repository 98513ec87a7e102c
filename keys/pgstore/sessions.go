package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// PutSession implements auth.SessionStorage of the console. Sessions expire by the clock of the server.
func (s *Store) PutSession(ctx context.Context, digest [32]byte, lifetime time.Duration, maximum int) error {
	return s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE expires <= now() OR digest IN
			(SELECT digest FROM sessions ORDER BY expires DESC OFFSET $1)`, maximum-1); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO sessions (digest, expires) VALUES ($1, now() + $2::interval)", digest[:], lifetime)
		return err
	})
}

// HasSession implements auth.SessionStorage.
func (s *Store) HasSession(ctx context.Context, digest [32]byte) (found bool, err error) {
	err = s.view(ctx, s.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM sessions WHERE digest = $1 AND expires > now())", digest[:]).Scan(&found)
	})
	return found, err
}

// DeleteSession implements auth.SessionStorage.
func (s *Store) DeleteSession(ctx context.Context, digest [32]byte) error {
	return s.exec(ctx, "DELETE FROM sessions WHERE digest = $1", digest[:])
}
