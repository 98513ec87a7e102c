package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// writeTimeout is the timeout of one write, which waits for the writes of other gates.
const writeTimeout = 30 * time.Second

// writeTx is a transaction that writes. It holds the lock of all writes.
type writeTx struct {
	pgx.Tx
	revision, seq uint64 // newest ones
	stored        uint64 // revision at the beginning
}

// update runs f in a transaction. ctx is checked only at the beginning, since after a later cancellation the caller would not know
// whether the write was stored.
func (s *Store) update(ctx context.Context, f func(ctx context.Context, tx *writeTx) error) error {
	return s.updateWithin(ctx, writeTimeout, f)
}

func (s *Store) updateWithin(ctx context.Context, timeout time.Duration, f func(ctx context.Context, tx *writeTx) error) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	committing := false
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if err := limitIdle(ctx, tx, timeout/6); err != nil {
			return err
		}
		t := &writeTx{Tx: tx}
		if t.revision, t.seq, err = readState(ctx, tx, "FOR UPDATE"); err != nil {
			return err
		}
		t.stored = t.revision
		if err := f(ctx, t); err != nil {
			return err
		}
		err = t.finish(ctx, s.channel())
		committing = err == nil
		return err
	})
	if err = s.userError(err); err != nil && committing {
		return fmt.Errorf("it is unknown whether the change was stored: %w", err)
	}
	return err
}

// limitIdle makes the server end the transaction if the gate does not continue it for some time. The transaction may hold a lock, and if
// the network of the gate fails, the server would otherwise keep it for hours, and with it all other gates waiting.
func limitIdle(ctx context.Context, tx pgx.Tx, limit time.Duration) error {
	_, err := tx.Exec(ctx, "SELECT set_config('idle_in_transaction_session_timeout', $1, true)", strconv.FormatInt(limit.Milliseconds(), 10))
	return err
}

// finish stores the newest revision and sequence, and notifies the other gates when the transaction is committed.
func (t *writeTx) finish(ctx context.Context, channel string) error {
	if _, err := t.Exec(ctx, "UPDATE state SET revision = $1, seq = $2", int64(t.revision), int64(t.seq)); err != nil {
		return err
	}
	if t.revision > t.stored {
		if err := t.putCommit(ctx); err != nil {
			return err
		}
	}
	_, err := t.Exec(ctx, "SELECT pg_notify($1, $2)", channel, strconv.FormatUint(t.revision, 10))
	return err
}

// Write implements registry.Storage.
func (s *Store) Write(ctx context.Context, records []*registry.Record, entries []*registry.AuditEntry) error {
	if len(records) == 0 && len(entries) == 0 {
		return ctx.Err()
	}
	var revision, seq uint64 // before the first record
	err := s.update(ctx, func(ctx context.Context, t *writeTx) error {
		revision, seq = t.revision, t.seq
		return t.write(ctx, records, entries)
	})
	if err != nil {
		return err
	}
	for i, r := range records {
		r.Revision = revision + uint64(i) + 1
	}
	for i, e := range entries {
		e.Seq = seq + uint64(i) + 1
	}
	return nil
}

func (t *writeTx) write(ctx context.Context, records []*registry.Record, entries []*registry.AuditEntry) error {
	for _, r := range records {
		if r.ID == "" || r.Digest.IsZero() {
			return fmt.Errorf("a record requires an id and a digest; the id is %q", r.ID)
		}
	}
	unknown, err := checkRecords(ctx, t, records)
	if err != nil {
		return err
	}
	var encrypted []string
	for _, r := range records {
		encrypted = append(encrypted, r.EncryptionKeys()...)
	}
	if err := t.checkEncryption(ctx, encrypted); err != nil {
		return err
	}
	if err := replaceTokens(ctx, t, records); err != nil {
		return err
	}
	if err := t.putRecords(ctx, records, unknown); err != nil {
		return err
	}
	if err := t.removeCounters(ctx, records); err != nil {
		return err
	}
	return t.putEntries(ctx, entries)
}

// checkRecords returns an error unless each record is new or has the stored revision. It returns the fields of stored records that a
// newer version has added, by ID.
func checkRecords(ctx context.Context, t *writeTx, records []*registry.Record) (unknown map[string][]byte, err error) {
	stored, unknown, ids := map[string]uint64{}, map[string][]byte{}, make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	rows, err := t.Query(ctx, "SELECT id, revision, body FROM keys WHERE id = ANY($1)", ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var d recordcodec.Decoder
	for rows.Next() {
		var (
			id       string
			revision uint64
			body     pgtype.DriverBytes
		)
		if err := rows.Scan(&id, &revision, &body); err != nil {
			return nil, err
		}
		_, added, err := d.Record([]byte(id), body)
		if err != nil {
			return nil, rowError("keys", id, err)
		}
		stored[id] = revision
		if len(added) > 0 {
			unknown[id] = added
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, r := range records {
		revision, exists := stored[r.ID]
		switch {
		case seen[r.ID]:
			return nil, fmt.Errorf("key %s: the record is specified twice: %w", r.ID, registry.ErrExists)
		case r.Revision == 0 && exists:
			return nil, fmt.Errorf("key %s: %w", r.ID, registry.ErrExists)
		case r.Revision != 0 && !exists:
			return nil, fmt.Errorf("key %s: the record does not exist: %w", r.ID, registry.ErrConflict)
		case r.Revision != revision:
			return nil, fmt.Errorf("key %s: %w", r.ID, registry.ErrConflict)
		}
		seen[r.ID] = true
	}
	return unknown, nil
}

// replaceTokens removes the stored tokens of the records, and returns an error if one of their new tokens belongs to another record.
func replaceTokens(ctx context.Context, t *writeTx, records []*registry.Record) error {
	var (
		ids     []string
		digests [][]byte
		owners  = map[keys.Digest]string{}
	)
	for _, r := range records {
		if r.Revision != 0 {
			ids = append(ids, r.ID)
		}
		for digest := range r.Digests() {
			if owner, used := owners[digest]; used && owner != r.ID {
				return fmt.Errorf("key %s: the token: %w", r.ID, registry.ErrExists)
			}
			owners[digest] = r.ID
			digests = append(digests, digest[:])
		}
	}
	if _, err := t.Exec(ctx, "DELETE FROM tokens WHERE key_id = ANY($1)", ids); err != nil {
		return err
	}
	var digest []byte
	err := t.QueryRow(ctx, "SELECT digest FROM tokens WHERE digest = ANY($1) LIMIT 1", digests).Scan(&digest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case len(digest) != len(keys.Digest{}):
		return rowError("tokens", "", errors.New("a digest has another length"))
	}
	return fmt.Errorf("key %s: the token: %w", owners[keys.Digest(digest)], registry.ErrExists)
}

// putRecords stores records with the next revisions, and their tokens.
func (t *writeTx) putRecords(ctx context.Context, records []*registry.Record, unknown map[string][]byte) error {
	if len(records) == 0 {
		return nil
	}
	var (
		ids, owners     []string
		revisions       []int64
		bodies, digests [][]byte
	)
	for _, r := range records {
		stored := *r
		t.revision++
		stored.Revision = t.revision
		ids, revisions = append(ids, r.ID), append(revisions, int64(t.revision))
		bodies = append(bodies, append(recordcodec.AppendRecord(nil, &stored), unknown[r.ID]...))
		seen := map[keys.Digest]bool{}
		for digest := range r.Digests() {
			if !seen[digest] {
				seen[digest] = true
				digests, owners = append(digests, digest[:]), append(owners, r.ID)
			}
		}
	}
	if _, err := t.Exec(ctx, `INSERT INTO keys (id, revision, body) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
		ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, body = excluded.body`, ids, revisions, bodies); err != nil {
		return err
	}
	_, err := t.Exec(ctx, "INSERT INTO tokens (digest, key_id) SELECT * FROM unnest($1::bytea[], $2::text[])", digests, owners)
	return err
}

// removeCounters removes the usage and the quotas of stored records that become deleted ones.
func (t *writeTx) removeCounters(ctx context.Context, records []*registry.Record) error {
	var ids []string
	for _, r := range records {
		if r.IsDeleted() && r.Revision != 0 {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	// The lock of a countersTx, so that neither waits for rows of the other.
	if _, err := t.Exec(ctx, "SELECT FROM counters FOR UPDATE"); err != nil {
		return err
	}
	for _, table := range []string{"usage", "quotas"} {
		if _, err := t.Exec(ctx, "DELETE FROM "+table+" WHERE id = ANY($1)", ids); err != nil {
			return err
		}
	}
	return nil
}

// putEntries stores audit entries with the next sequences.
func (t *writeTx) putEntries(ctx context.Context, entries []*registry.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	seqs, ids, bodies := make([]int64, len(entries)), make([]string, len(entries)), make([][]byte, len(entries))
	for i, e := range entries {
		t.seq++
		seqs[i], ids[i], bodies[i] = int64(t.seq), e.Key, recordcodec.AppendEntry(nil, e)
	}
	_, err := t.Exec(ctx, "INSERT INTO audit (seq, key_id, body) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])",
		seqs, ids, bodies)
	return err
}
