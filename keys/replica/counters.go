package replica

import (
	"context"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/usage"
)

// SharedUse implements registry.SharedStorage.
func (s *Storage) SharedUse() countersync.Storage[usage.Row] {
	return counters[usage.Row]{s, s.remote.SharedUse()}
}

// SharedQuotas implements registry.SharedStorage.
func (s *Storage) SharedQuotas() countersync.Storage[quota.Row] {
	return counters[quota.Row]{s, s.remote.SharedQuotas()}
}

// counters are the counters of the remote storage.
type counters[R any] struct {
	storage *Storage
	remote  countersync.Storage[R]
}

// Add implements countersync.Storage.
func (c counters[R]) Add(ctx context.Context, b countersync.Batch[R]) error {
	if err := c.storage.available(ctx); err != nil {
		return err
	}
	return c.remote.Add(ctx, b)
}

// Changes implements countersync.Storage.
func (c counters[R]) Changes(ctx context.Context, after uint64) (rows []R, revision uint64, err error) {
	if err := c.storage.available(ctx); err != nil {
		return nil, after, err
	}
	return c.remote.Changes(ctx, after)
}

// Prune implements countersync.Storage.
func (c counters[R]) Prune(ctx context.Context) error {
	if err := c.storage.available(ctx); err != nil {
		return err
	}
	return c.remote.Prune(ctx)
}
