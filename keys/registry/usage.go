package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/usage"
)

const (
	saveEvery       = time.Minute
	sharedSaveEvery = 5 * time.Second // also when the usage counted by other gates is read
	saveTimeout     = 10 * time.Second
)

// Run saves the usage of keys every minute until ctx is canceled, and then once more; with a SharedStorage every 5 seconds. A failed
// save is logged once and retried with the next one.
func (r *Registry) Run(ctx context.Context) {
	every := saveEvery
	if r.sharedUsage != nil {
		every = sharedSaveEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = r.saveUsage(ctx) // the error is already logged
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
			defer cancel()
			_ = r.saveUsage(ctx)
			return
		}
	}
}

// saveUsage saves the usage that has changed since the last call.
func (r *Registry) saveUsage(ctx context.Context) error {
	if r.usage == nil {
		return nil
	}
	r.saveMu.Lock()
	defer r.saveMu.Unlock()
	if err := r.saveChangedUsage(ctx); err != nil {
		if text := err.Error(); text != r.lastSaveError {
			r.lastSaveError = text
			r.log.Warn("saving the usage of keys failed; it is counted in memory, and saving is retried", "error", err)
		}
		return fmt.Errorf("saving the usage of keys: %w", err)
	}
	r.lastSaveError = ""
	return nil
}

func (r *Registry) saveChangedUsage(ctx context.Context) error {
	if r.sharedUsage != nil {
		return r.sharedUsage.Sync(ctx)
	}
	rows := r.usage.TakeDirty()
	if len(rows) == 0 {
		return nil
	}
	err := r.storage.SaveUse(ctx, rows)
	if err != nil {
		r.usage.MarkDirty(rows)
	}
	return err
}

// restoreUsage restores the stored usage. A SharedStorage may be unavailable for now: then saveUsage continues.
func (r *Registry) restoreUsage() error {
	if r.usage == nil {
		return nil
	}
	if shared, ok := r.storage.(SharedStorage); ok {
		r.usage.Share()
		r.sharedUsage = countersync.NewSyncer(shared.SharedUse(), r.usage.TakeDeltas, r.usage.SetTotals)
		if err := r.sharedUsage.Load(context.Background(), r.usage.SetTotals); err != nil {
			r.log.Warn("reading the usage of keys failed; it is retried", "error", err)
		}
		return nil
	}
	err := r.storage.Use(context.Background(), func(row usage.Row) error {
		r.usage.Restore(row)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the usage of keys: %w", err)
	}
	return nil
}
