package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/replica"
)

var _ replica.Remote = (*Store)(nil)

// keptRevisions is the minimum number of revisions whose commits are stored. A gate whose copy is older cannot check its history.
const keptRevisions = 100_000

// putCommit identifies the write of the newest revision, and removes old commits.
func (t *writeTx) putCommit(ctx context.Context) error {
	if _, err := t.Exec(ctx, "INSERT INTO commits (revision) VALUES ($1)", int64(t.revision)); err != nil {
		return err
	}
	_, err := t.Exec(ctx, "DELETE FROM commits WHERE revision < $1", int64(t.revision)-keptRevisions)
	return err
}

// position is a query for the current position.
const position = `SELECT format, store_id::text, revision, overrides_revision,
	COALESCE((SELECT id::text FROM commits WHERE commits.revision = state.revision), '') FROM state`

func readPosition(ctx context.Context, tx pgx.Tx) (p registry.Position, err error) {
	var written int
	if err := tx.QueryRow(ctx, position).Scan(&written, &p.Store, &p.Revision, &p.Overrides, &p.Commit); err != nil {
		return p, err
	}
	return p, checkFormat(written)
}

// Read implements replica.Remote.
func (s *Store) Read(
	ctx context.Context, q replica.Query, begin func(*replica.Snapshot) error, yield func(*registry.Record) error,
) error {
	timeout := scanTimeout
	if q.Slow {
		timeout = backupTimeout
	}
	return s.view(ctx, timeout, func(ctx context.Context, tx pgx.Tx) error {
		snap := new(replica.Snapshot)
		var err error
		if snap.At, err = readPosition(ctx, tx); err != nil {
			return err
		}
		if err := compareHistory(ctx, tx, q.Known, snap); err != nil {
			return err
		}
		changes := snap.History == replica.Same && !q.All
		if !changes || snap.At.Overrides > q.Known[0].Revision {
			snap.HasOverrides = true
			if err := eachOverride(ctx, tx, func(o *registry.Override) error {
				snap.Overrides = append(snap.Overrides, o)
				return nil
			}); err != nil {
				return err
			}
		}
		if err := begin(snap); err != nil {
			return &callbackError{err}
		}
		switch {
		case !changes:
			return eachRecord(ctx, tx, yield, "SELECT id, revision, body FROM keys ORDER BY id")
		case snap.At.Revision > q.Known[0].Revision:
			return eachRecord(ctx, tx, yield, "SELECT id, revision, body FROM keys WHERE revision > $1 ORDER BY revision",
				int64(q.Known[0].Revision))
		}
		return nil
	})
}

// compareHistory sets History and Common.
func compareHistory(ctx context.Context, tx pgx.Tx, known []registry.Position, snap *replica.Snapshot) error {
	if len(known) == 0 || known[0].Store != snap.At.Store {
		snap.History = replica.Other
		return nil
	}
	if known[0].Revision == snap.At.Revision && known[0].Commit == snap.At.Commit { // usually
		snap.History, snap.Common = replica.Same, known[0].Revision
		return nil
	}
	revisions, ids := make([]int64, len(known)), make([]string, len(known))
	for i, p := range known {
		revisions[i], ids[i] = int64(p.Revision), p.Commit
	}
	var oldest uint64
	if err := tx.QueryRow(ctx, `SELECT COALESCE((SELECT min(revision) FROM commits), 0), COALESCE((SELECT max(commits.revision)
		FROM commits JOIN unnest($1::bigint[], $2::text[]) AS known (revision, id) ON commits.revision = known.revision
		AND commits.id::text = known.id), 0)`, revisions, ids).Scan(&oldest, &snap.Common); err != nil {
		return err
	}
	switch {
	case snap.Common == known[0].Revision: // also the position before the first write
		snap.History = replica.Same
	case known[0].Revision < oldest:
		snap.History = replica.Unknown
	default:
		snap.History = replica.Diverged
	}
	return nil
}

// checkFormat returns an error if this version does not know a format.
func checkFormat(written int) error {
	if written > format {
		return fmt.Errorf("%w: its format is %d, and this version knows %d: upgrade docsgate", ErrNewer, written, format)
	}
	return nil
}
