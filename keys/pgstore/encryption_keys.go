package pgstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/registry"
)

var _ registry.EncryptionKeys = (*Store)(nil)

// gateTimeout is how long a gate is regarded as running after its last Report.
const gateTimeout = 2 * time.Minute

// errUnknownSecret is the error for a record that is encrypted with a secret that was retired meanwhile, or that is of another store.
var errUnknownSecret = errors.New("the key store does not accept what is encrypted with this secret any more, or knows only others: " +
	"repeat the change")

// EncryptionKeys implements registry.EncryptionKeys.
func (s *Store) EncryptionKeys(ctx context.Context, candidate string) (ids []string, err error) {
	read := func(ctx context.Context, tx pgx.Tx) error {
		ids, err = encryptionKeys(ctx, tx)
		return err
	}
	if err := s.view(ctx, s.options.Timeout, read); err != nil || len(ids) > 0 || candidate == "" {
		return ids, err
	}
	err = s.update(ctx, func(ctx context.Context, t *writeTx) error {
		if err := read(ctx, t); err != nil || len(ids) > 0 {
			return err
		}
		used, err := usedEncryptionKeys(ctx, t, 0)
		if err != nil {
			return err
		}
		if len(used) > 0 { // it was copied from another store
			ids = slices.Sorted(maps.Keys(used))
			if i := slices.Index(ids, candidate); i > 0 {
				ids[0], ids[i] = ids[i], ids[0]
			}
		} else {
			ids = []string{candidate}
		}
		_, err = t.Exec(ctx, "INSERT INTO encryption_keys (id, current) SELECT id, id = $2 FROM unnest($1::text[]) AS u (id)", ids, ids[0])
		return err
	})
	return ids, err
}

// usedEncryptionKeys returns the key IDs that are used by records after a revision, or by anything else.
func usedEncryptionKeys(ctx context.Context, tx pgx.Tx, revision uint64) (map[string]bool, error) {
	used := map[string]bool{}
	note := func(ids []string) {
		for _, id := range ids {
			used[id] = true
		}
	}
	if err := eachRecord(ctx, tx, func(r *registry.Record) error { note(r.EncryptionKeys()); return nil },
		"SELECT id, revision, body FROM keys WHERE revision > $1", int64(revision)); err != nil {
		return nil, err
	}
	if err := eachOverride(ctx, tx, func(o *registry.Override) error { note(o.EncryptionKeys()); return nil }); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, "SELECT body FROM id_secrets")
	if err != nil {
		return nil, err
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	for _, body := range bodies {
		used[registry.EncryptionKey(body)] = true
	}
	return used, err
}

func encryptionKeys(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, "SELECT id FROM encryption_keys ORDER BY current DESC, id")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// SetEncryptionKey implements registry.EncryptionKeys.
func (s *Store) SetEncryptionKey(ctx context.Context, keyID string) error {
	return s.update(ctx, func(ctx context.Context, t *writeTx) error {
		rows, err := t.Query(ctx, "SELECT DISTINCT name FROM gates WHERE seen > now() - $1::interval AND NOT $2 = ANY(keys) ORDER BY name LIMIT 10",
			gateTimeout, keyID)
		if err != nil {
			return err
		}
		lacking, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(lacking) > 0 {
			return &callbackError{&registry.SecretMissingError{KeyID: keyID, Gates: lacking}}
		}
		if _, err := t.Exec(ctx, "UPDATE encryption_keys SET current = false WHERE current AND id <> $1", keyID); err != nil {
			return err
		}
		_, err = t.Exec(ctx, "INSERT INTO encryption_keys (id, current) VALUES ($1, true) ON CONFLICT (id) DO UPDATE SET current = true", keyID)
		return err
	})
}

// RetireEncryptionKeys implements registry.EncryptionKeys.
func (s *Store) RetireEncryptionKeys(ctx context.Context, revision uint64) (ids []string, err error) {
	err = s.update(ctx, func(ctx context.Context, t *writeTx) error {
		used, err := usedEncryptionKeys(ctx, t, revision)
		if err != nil {
			return err
		}
		registered, err := encryptionKeys(ctx, t)
		if err != nil || len(registered) == 0 {
			return err
		}
		ids = append(registered[:1:1], slices.DeleteFunc(registered[1:], func(id string) bool { return !used[id] })...)
		_, err = t.Exec(ctx, "DELETE FROM encryption_keys WHERE NOT id = ANY($1)", ids)
		return err
	})
	return ids, err
}

// checkEncryption returns an error if a record or an override is encrypted with a secret that is not registered, because it was retired
// since. Without a registered secret, as while the store is filled, everything is accepted.
func (t *writeTx) checkEncryption(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	registered, err := encryptionKeys(ctx, t)
	if err != nil || len(registered) == 0 {
		return err
	}
	for _, id := range ids {
		if !slices.Contains(registered, id) {
			return &callbackError{fmt.Errorf("%w (key ID %s)", errUnknownSecret, id)}
		}
	}
	return nil
}

// Report says that a gate is running, and which secrets it has. id identifies the process, and name is for operators.
func (s *Store) Report(ctx context.Context, id, name string, keyIDs []string) error {
	if keyIDs == nil {
		keyIDs = []string{}
	}
	if err := s.exec(ctx, "DELETE FROM gates WHERE seen < now() - $1::interval", 10*gateTimeout); err != nil {
		return err
	}
	return s.exec(ctx, `INSERT INTO gates (id, name, keys, seen) VALUES ($1, $2, $3, now())
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, keys = excluded.keys, seen = excluded.seen`, id, strings.ToValidUTF8(name, "?"), keyIDs)
}

// ReportEnd says that a gate no longer runs.
func (s *Store) ReportEnd(ctx context.Context, id string) error {
	return s.exec(ctx, "DELETE FROM gates WHERE id = $1", id)
}
