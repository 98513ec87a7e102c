package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/docsgate/docsgate/keys/usage"
)

const (
	saveEvery   = time.Minute
	saveTimeout = 10 * time.Second
)

// Run saves the usage of keys every minute until ctx is canceled, and then once more. A failed save is logged once and retried
// with the next one.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
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
	rows := r.usage.TakeDirty()
	if len(rows) == 0 {
		return nil
	}
	if err := r.storage.SaveUse(ctx, rows); err != nil {
		r.usage.MarkDirty(rows)
		if text := err.Error(); text != r.lastSaveError {
			r.lastSaveError = text
			r.log.Warn("saving the usage of keys failed; it is retried every minute", "error", err)
		}
		return fmt.Errorf("saving the usage of keys: %w", err)
	}
	r.lastSaveError = ""
	return nil
}

// restoreUsage restores the stored usage.
func (r *Registry) restoreUsage() error {
	if r.usage == nil {
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
