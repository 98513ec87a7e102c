package pgstore

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/keys/migration"
	"github.com/docsgate/docsgate/keys/registry"
)

// restoreTimeout is the timeout of copying everything to the database. A million keys take some minutes.
const restoreTimeout = 30 * time.Minute

// Restore copies everything but idempotency records to an empty store, and compares the copy with the source. All keys appear at the same
// time; after an error there are none, and it can be repeated.
func (s *Store) Restore(ctx context.Context, from registry.Source) (migration.Counts, error) {
	var counts migration.Counts
	err := s.updateWithin(ctx, restoreTimeout, func(limited context.Context, t *writeTx) (err error) {
		limited, cancel := context.WithCancel(limited)
		defer cancel()
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		to := restoring{s, t}
		if err = registry.Copy(limited, from, to); err == nil {
			counts, err = migration.Compare(limited, from, to)
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			return &callbackError{err}
		}
		return nil
	})
	return counts, err
}

// restoring is the storage that Restore writes to: the keys of a transaction. Usage and quotas are not part of it.
type restoring struct {
	*Store
	t *writeTx
}

func (r restoring) All(ctx context.Context, yield func(*registry.Record) error) (uint64, error) {
	revision, err := allRecords(ctx, r.t, yield)
	return revision, r.userError(err)
}

func (r restoring) Overrides(ctx context.Context, yield func(*registry.Override) error) error {
	return r.userError(eachOverride(ctx, r.t, yield))
}

func (r restoring) Audit(ctx context.Context, key string, before uint64, limit int) ([]registry.AuditEntry, error) {
	entries, err := readAudit(ctx, r.t, key, before, limit)
	return entries, r.userError(err)
}

func (r restoring) Write(ctx context.Context, records []*registry.Record, entries []*registry.AuditEntry) error {
	return r.userError(r.t.write(ctx, records, entries))
}

func (r restoring) WriteOverride(ctx context.Context, o *registry.Override, entry *registry.AuditEntry) error {
	_, err := r.t.writeOverride(ctx, o, entry)
	return r.userError(err)
}
