package registry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// MinRetention is the shortest retention of revoked keys.
const MinRetention = 24 * time.Hour

const (
	maxDeletions   = 10_000 // keys in memory at a time
	deletionsChunk = 500    // keys in one write
)

// retentionActor is the author of the deletions of RetainRevoked.
var retentionActor = Actor{Name: "retention", RemoteAddr: "gate"}

// retention is the state of RetainRevoked, which outlives a configuration.
type retention struct {
	mu     sync.Mutex // held during a run; guards the following
	period time.Duration
	next   time.Time // of a run with this period
}

// RetainRevoked deletes keys that were revoked longer than a period ago, until ctx is canceled: at the beginning, and then once a day, or
// every hour if the period is shorter than 24 days. A failed run is logged, and repeated an hour later. Several gates that share a storage may
// do so at the same time.
func (r *Registry) RetainRevoked(ctx context.Context, period time.Duration) {
	for {
		timer := time.NewTimer(r.retainOnce(ctx, period))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// retainOnce deletes keys, unless a recent call did, and returns how long to wait for the next one.
func (r *Registry) retainOnce(ctx context.Context, period time.Duration) (wait time.Duration) {
	r.retention.mu.Lock()
	defer r.retention.mu.Unlock()
	now := r.currentTime()
	if wait := r.retention.next.Sub(now); r.retention.period == period && wait > 0 {
		return wait
	}
	wait = 24 * time.Hour // each run reads all records
	if period < 24*24*time.Hour {
		wait = time.Hour
	}
	n, err := r.DeleteRevoked(ctx, retentionActor, now.Add(-period))
	if n > 0 {
		r.log.Info("deleted keys, since they were revoked longer ago than delete_revoked_after", "keys", n)
	}
	if err != nil {
		if wait = time.Hour; ctx.Err() != nil {
			return wait
		}
		r.log.Warn("deleting revoked keys failed; it is retried in an hour", "error", err)
	}
	r.retention.period, r.retention.next = period, now.Add(wait)
	return wait
}

// DeleteRevoked deletes the keys that were revoked before a time, with an audit entry for each, and returns how many. Keys that are changed
// concurrently remain. After an error or a canceled ctx some of them are deleted.
func (r *Registry) DeleteRevoked(ctx context.Context, by Actor, before time.Time) (deleted int, err error) {
	for {
		found, err := r.revokedBefore(ctx, before)
		if err != nil {
			return deleted, err
		}
		remaining := deleted
		for chunk := range slices.Chunk(found, deletionsChunk) {
			if err := ctx.Err(); err != nil {
				return deleted, err
			}
			n, err := r.deleteAll(ctx, by, chunk)
			if deleted += n; err != nil {
				return deleted, err
			}
		}
		if len(found) < maxDeletions || deleted == remaining {
			return deleted, nil
		}
	}
}

// revokedBefore returns at most maxDeletions keys that were revoked before a time, with what a deletion needs.
func (r *Registry) revokedBefore(ctx context.Context, before time.Time) (found []*Record, err error) {
	_, err = r.storage.All(ctx, skipDeleted(func(rec *Record) error {
		if rec.State != keys.Revoked || !rec.Changed.Before(before) {
			return nil
		}
		if len(found) == maxDeletions {
			return errStop
		}
		found = append(found, &Record{ID: rec.ID, Name: rec.Name, Digest: rec.Digest, Created: rec.Created, Revision: rec.Revision})
		return nil
	}))
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}

// deleteAll deletes revoked keys in one write, or each of them if one has changed since it was read.
func (r *Registry) deleteAll(ctx context.Context, by Actor, revoked []*Record) (deleted int, err error) {
	records, entries := make([]*Record, len(revoked)), make([]*AuditEntry, len(revoked))
	for i, rec := range revoked {
		records[i], entries[i] = rec.deleted(r.currentTime()), r.newEntry(by, ActionDeleted, rec, "")
	}
	switch err := r.put(ctx, records, entries...); {
	case err == nil, errors.Is(err, ErrNotApplied):
		return len(records), err
	case !errors.Is(err, ErrConflict):
		return 0, err
	case len(records) == 1:
		return 0, nil
	}
	for _, rec := range revoked {
		n, err := r.deleteAll(ctx, by, []*Record{rec})
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
