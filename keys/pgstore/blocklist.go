package pgstore

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/ownership/blocklist"
)

var _ blocklist.Storage = (*Store)(nil)

// blockedCount is an estimate of the number of blocked conversations: the exact number would be counted for each question.
type blockedCount struct {
	n    atomic.Int64
	next atomic.Int64 // time of the next count, in Unix seconds
}

// countInterval is the interval at which blocked conversations are counted.
const countInterval = 60

// Block implements blocklist.Storage. blocklist.MaxEntries may be exceeded by what all gates add within a minute.
func (s *Store) Block(ctx context.Context, entries []blocklist.Entry) (added, full map[[16]byte]bool, err error) {
	// In one order, so that the writes of two gates do not wait for each other.
	slices.SortFunc(entries, func(a, b blocklist.Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	err = s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		added, full = map[[16]byte]bool{}, map[[16]byte]bool{}
		free, err := s.freeEntries(ctx, tx, entries)
		if err != nil {
			return err
		}
		var ids, keys [][]byte
		for _, e := range entries {
			if free[e.Key] <= 0 {
				full[e.ID] = true
				continue
			}
			free[e.Key]--
			ids, keys = append(ids, e.ID[:]), append(keys, e.Key[:])
		}
		if len(ids) == 0 {
			return nil
		}
		rows, err := tx.Query(ctx, `INSERT INTO blocked_conversations (id, key) SELECT * FROM unnest($1::bytea[], $2::bytea[])
			ON CONFLICT (id) DO NOTHING RETURNING id`, ids, keys)
		if err != nil {
			return err
		}
		inserted, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		for _, id := range inserted {
			added[[16]byte(id)] = true
		}
		s.blocked.n.Add(int64(len(inserted)))
		return err
	})
	return added, full, err
}

// freeEntries returns how many entries can be added for each key.
func (s *Store) freeEntries(ctx context.Context, tx pgx.Tx, entries []blocklist.Entry) (map[blocklist.Key]int, error) {
	if now, next := time.Now().Unix(), s.blocked.next.Load(); now >= next && s.blocked.next.CompareAndSwap(next, now+countInterval) {
		var n int64
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM blocked_conversations").Scan(&n); err != nil {
			return nil, err
		}
		s.blocked.n.Store(n)
	}
	free := map[blocklist.Key]int{}
	if s.blocked.n.Load() >= blocklist.MaxEntries {
		return free, nil
	}
	var keys [][]byte
	for _, e := range entries {
		if _, known := free[e.Key]; !known {
			free[e.Key] = blocklist.MaxEntriesPerKey
			keys = append(keys, e.Key[:])
		}
	}
	rows, err := tx.Query(ctx, `SELECT k.key, (SELECT count(*) FROM (SELECT FROM blocked_conversations b WHERE b.key = k.key LIMIT $2) AS counted)
		FROM unnest($1::bytea[]) AS k (key)`, keys, blocklist.MaxEntriesPerKey)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			key  []byte
			used int
		)
		if err := rows.Scan(&key, &used); err != nil {
			return nil, err
		}
		free[blocklist.Key(key)] -= used
	}
	return free, rows.Err()
}

// Unblock implements blocklist.Storage.
func (s *Store) Unblock(ctx context.Context, ids [][16]byte) error {
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	list := make([][]byte, len(ids))
	for i := range ids {
		list[i] = ids[i][:]
	}
	err := s.exec(ctx, `DELETE FROM blocked_conversations WHERE id IN
		(SELECT id FROM blocked_conversations WHERE id = ANY($1) ORDER BY id FOR UPDATE)`, list)
	if err == nil {
		s.blocked.n.Add(-int64(len(ids)))
	}
	return err
}

// IsBlocked implements blocklist.Storage.
func (s *Store) IsBlocked(ctx context.Context, id [16]byte) (blocked bool, err error) {
	err = s.view(ctx, s.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM blocked_conversations WHERE id = $1)", id[:]).Scan(&blocked)
	})
	return blocked, err
}

// ExpireBlocked implements blocklist.Storage.
func (s *Store) ExpireBlocked(ctx context.Context, age time.Duration) error {
	return s.exec(ctx, "DELETE FROM blocked_conversations WHERE since < now() - $1::interval", age)
}
