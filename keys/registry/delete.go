package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Delete deletes a revoked key: the record, the usage and the quotas. Its audit trail stays. Its ID and its last token are never used again.
// Another key is ErrNotRevoked, and a deleted one ErrNotFound.
func (r *Registry) Delete(ctx context.Context, by Actor, id string) error {
	_, err := r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		if rec.State != keys.Revoked {
			return "", "", ErrNotRevoked
		}
		*rec = *rec.deleted(r.currentTime())
		return ActionDeleted, "", nil
	})
	return err
}

// deleted returns what is stored of a revoked key when it is deleted.
func (r *Record) deleted(now time.Time) *Record {
	return &Record{
		ID: r.ID, Digest: r.Digest, State: keys.Revoked, Created: r.Created, Changed: now, Deleted: now, Revision: r.Revision,
	}
}

// notDeleted returns ErrNotFound for the record of a deleted key.
func notDeleted(rec *Record, err error) (*Record, error) {
	if err == nil && rec.IsDeleted() {
		return nil, fmt.Errorf("key %s: %w", rec.ID, ErrNotFound)
	}
	return rec, err
}

// skipDeleted returns a function that calls yield for the records of keys that are not deleted.
func skipDeleted(yield func(*Record) error) func(*Record) error {
	return func(rec *Record) error {
		if rec.IsDeleted() {
			return nil
		}
		return yield(rec)
	}
}
