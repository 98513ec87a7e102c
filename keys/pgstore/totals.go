package pgstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/docsgate/docsgate/keys/countersync"
)

// writerTTL is how long a writer is remembered after its last batch. A batch that is repeated later would be added twice.
const writerTTL = 30 * 24 * time.Hour

// totals is the countersync.Storage of a table with an id, a revision and a body. R is what the body encodes.
type totals[R any] struct {
	store   *Store
	table   string
	decode  func(id, body []byte) (R, error)
	encode  func(*R) (id string, body []byte)
	add     func(total, delta R, now time.Time) R
	expired func(total R, now time.Time) bool // nil: rows do not expire

	mu      sync.Mutex
	started time.Time // when the server of the last call of Changes has started
}

// Add implements countersync.Storage.
func (t *totals[R]) Add(ctx context.Context, b countersync.Batch[R]) error {
	return t.write(ctx, func(ctx context.Context, tx *countersTx) error {
		added, err := tx.addedBefore(ctx, t.table, b.Writer, b.Seq)
		if added || err != nil {
			return err
		}
		ids := make([]string, len(b.Deltas))
		for i := range b.Deltas {
			if ids[i], _ = t.encode(&b.Deltas[i]); ids[i] == "" {
				return t.errNoID()
			}
		}
		stored := make(map[string]R, len(ids))
		if err := t.each(ctx, tx, func(id string, r R) { stored[id] = r },
			"SELECT id, body FROM "+t.table+" WHERE id = ANY($1)", ids); err != nil {
			return err
		}
		for i, id := range ids {
			stored[id] = t.add(stored[id], b.Deltas[i], tx.now)
		}
		sums := make([]R, 0, len(stored))
		for _, r := range stored {
			sums = append(sums, r)
		}
		return t.put(ctx, tx, sums)
	})
}

// Changes implements countersync.Storage. After a restart or a failover of the server it makes the caller read everything again: if the server
// has lost transactions, their revisions may have been used again.
func (t *totals[R]) Changes(ctx context.Context, after uint64) (rows []R, revision uint64, err error) {
	err = t.store.view(ctx, t.store.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		if _, _, err := readState(ctx, tx, ""); err != nil {
			return err
		}
		var started time.Time
		if err := tx.QueryRow(ctx, "SELECT revision, pg_postmaster_start_time() FROM counters").Scan(&revision, &started); err != nil {
			return err
		}
		if t.isOtherServer(started) {
			revision = 0
		}
		if after >= revision {
			return nil
		}
		found, err := tx.Query(ctx, "SELECT id, body, revision FROM "+t.table+" WHERE revision > $1 ORDER BY revision LIMIT $2",
			int64(after), countersync.MaxRows)
		if err != nil {
			return err
		}
		defer found.Close()
		last := uint64(0)
		for found.Next() {
			var id, body pgtype.DriverBytes
			if err := found.Scan(&id, &body, &last); err != nil {
				return err
			}
			r, err := t.decode(id, body)
			if err != nil {
				return rowError(t.table, string(id), err)
			}
			rows = append(rows, r)
		}
		if len(rows) == countersync.MaxRows {
			revision = last
		}
		return found.Err()
	})
	return rows, revision, err
}

// isOtherServer reports whether the last call was for a server that has started at another time.
func (t *totals[R]) isOtherServer(started time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	other := !t.started.IsZero() && !t.started.Equal(started)
	t.started = started
	return other
}

// Prune implements countersync.Storage.
func (t *totals[R]) Prune(ctx context.Context) error {
	err := t.store.exec(ctx, "DELETE FROM counter_writers WHERE at < now() - $1 * interval '1 second'", int64(writerTTL/time.Second))
	for more := t.expired != nil; more && err == nil; {
		err = t.write(ctx, func(ctx context.Context, tx *countersTx) (err error) {
			more, err = t.pruneRows(ctx, tx)
			return err
		})
	}
	return err
}

// pruneRows removes expired rows among those that were written least recently, and reports whether there may be more. No other gate can
// add to them meanwhile.
func (t *totals[R]) pruneRows(ctx context.Context, tx *countersTx) (more bool, err error) {
	var expired []string
	if err := t.each(ctx, tx, func(id string, r R) {
		if t.expired(r, tx.now) {
			expired = append(expired, id)
		}
	}, "SELECT id, body FROM "+t.table+" ORDER BY revision LIMIT $1", countersync.MaxRows); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM "+t.table+" WHERE id = ANY($1)", expired)
	return len(expired) == countersync.MaxRows, err
}

// save replaces rows, and removes others. The last of several rows with the same ID is stored.
func (t *totals[R]) save(ctx context.Context, rows []R, remove []string) error {
	for chunk := range slices.Chunk(rows, countersync.MaxRows) {
		if err := t.write(ctx, func(ctx context.Context, tx *countersTx) error { return t.put(ctx, tx, chunk) }); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(remove, countersync.MaxRows) {
		if err := t.write(ctx, func(ctx context.Context, tx *countersTx) error {
			_, err := tx.Exec(ctx, "DELETE FROM "+t.table+" WHERE id = ANY($1)", chunk)
			return err
		}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// put stores rows with the next revisions. The last of several rows with the same ID is stored.
func (t *totals[R]) put(ctx context.Context, tx *countersTx, rows []R) error {
	type row struct {
		id   string
		body []byte
	}
	all := make([]row, len(rows))
	for i := range rows {
		if all[i].id, all[i].body = t.encode(&rows[i]); all[i].id == "" {
			return t.errNoID()
		}
	}
	slices.SortStableFunc(all, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	ids, bodies, revisions := make([]string, 0, len(all)), make([][]byte, 0, len(all)), make([]int64, 0, len(all))
	for _, r := range all {
		if n := len(ids); n > 0 && ids[n-1] == r.id {
			bodies[n-1] = r.body
			continue
		}
		tx.revision++
		ids, bodies, revisions = append(ids, r.id), append(bodies, r.body), append(revisions, tx.revision)
	}
	_, err := tx.Exec(ctx, "INSERT INTO "+t.table+` (id, body, revision) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[])
		ON CONFLICT (id) DO UPDATE SET body = excluded.body, revision = excluded.revision`, ids, bodies, revisions)
	return err
}

// each calls f for the rows of a query, which have an id and a body.
func (t *totals[R]) each(ctx context.Context, tx pgx.Tx, f func(id string, r R), query string, args ...any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, body pgtype.DriverBytes
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		r, err := t.decode(id, body)
		if err != nil {
			return rowError(t.table, string(id), err)
		}
		f(string(id), r)
	}
	return rows.Err()
}

func (t *totals[R]) errNoID() error {
	return errors.New("a row of " + t.table + " requires the id of its key")
}

// countersTx is a transaction that writes usage or quotas. It holds the lock of such writes.
type countersTx struct {
	pgx.Tx
	revision int64     // newest one
	now      time.Time // of the server
}

// write runs f in a transaction that holds the lock.
func (t *totals[R]) write(ctx context.Context, f func(ctx context.Context, tx *countersTx) error) error {
	return t.store.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := limitIdle(ctx, tx, writeTimeout/6); err != nil {
			return err
		}
		if _, _, err := readState(ctx, tx, ""); err != nil {
			return err
		}
		locked := &countersTx{Tx: tx}
		err := tx.QueryRow(ctx, "SELECT revision, clock_timestamp() FROM counters FOR UPDATE").Scan(&locked.revision, &locked.now)
		if err != nil {
			return err
		}
		before := locked.revision
		if err := f(ctx, locked); err != nil || locked.revision == before {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE counters SET revision = $1", locked.revision)
		return err
	})
}

// addedBefore reports whether a batch of a writer was added to a table before. Otherwise it records that this transaction adds it.
func (tx *countersTx) addedBefore(ctx context.Context, table, writer string, seq uint64) (added bool, err error) {
	if writer == "" || seq == 0 {
		return false, errors.New("a batch requires a writer and a sequence number")
	}
	tag, err := tx.Exec(ctx, `INSERT INTO counter_writers AS w (table_name, id, seq) VALUES ($1, $2, $3)
		ON CONFLICT (table_name, id) DO UPDATE SET seq = excluded.seq, at = excluded.at WHERE w.seq < excluded.seq`, table, writer, int64(seq))
	return err == nil && tag.RowsAffected() == 0, err
}
