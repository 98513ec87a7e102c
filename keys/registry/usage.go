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

// Run saves the use of keys every minute until ctx ends, and then once more. What could not be saved is tried again with
// the next save, and logged once.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = r.saveUse(ctx) // it has been logged
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
			defer cancel()
			_ = r.saveUse(ctx)
			return
		}
	}
}

// saveUse saves what has changed since the last call.
func (r *Registry) saveUse(ctx context.Context) error {
	if r.usage == nil {
		return nil
	}
	r.saving.Lock()
	defer r.saving.Unlock()
	rows := r.usage.TakeDirty()
	if len(rows) == 0 {
		return nil
	}
	if err := r.storage.SaveUse(ctx, rows); err != nil {
		r.usage.MarkDirty(rows)
		if text := err.Error(); text != r.saveFault {
			r.saveFault = text
			r.log.Warn("the use of keys could not be saved; it is tried again every minute", "error", err)
		}
		return fmt.Errorf("saving the use of keys: %w", err)
	}
	r.saveFault = ""
	return nil
}

// restoreUse takes in what was saved.
func (r *Registry) restoreUse() error {
	if r.usage == nil {
		return nil
	}
	err := r.storage.Use(context.Background(), func(row usage.Row) error {
		r.usage.Restore(row)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the use of keys: %w", err)
	}
	return nil
}
