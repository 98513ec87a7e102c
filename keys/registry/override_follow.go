package registry

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// followOverrides reads the overrides of a remote storage, which others write to as well, and applies what has changed.
func (r *Registry) followOverrides(ctx context.Context, remote RemoteStorage) error {
	r.overrides.writeMu.Lock()
	defer r.overrides.writeMu.Unlock()
	return r.refreshOverrides(ctx, remote.CurrentOverrides)
}

// refreshOverrides is followOverrides while writeMu is held, so that what this registry writes meanwhile is not replaced by older values.
func (r *Registry) refreshOverrides(ctx context.Context, read func(context.Context, func(*Override) error) error) error {
	byID, err := readOverrides(ctx, read)
	if err != nil {
		return err
	}
	r.overrides.mu.Lock()
	before, known := r.overrides.byID, r.overrides.known
	r.overrides.byID, r.overrides.known = byID, true
	hooks := slices.Collect(maps.Values(r.overrides.hooks))
	r.overrides.mu.Unlock()
	for _, changed := range hooks {
		if !known {
			changed.all()
			continue
		}
		for id, o := range byID {
			if old := before[id]; old == nil || old.Revision != o.Revision || !old.equal(o) {
				changed.one(id)
			}
		}
		for id := range before {
			if byID[id] == nil {
				changed.one(id)
			}
		}
	}
	return nil
}

// restoreOverrides reads the overrides of a copy if they are not known.
func (r *Registry) restoreOverrides() error {
	r.overrides.writeMu.Lock()
	defer r.overrides.writeMu.Unlock()
	r.overrides.mu.RLock()
	known := r.overrides.known
	r.overrides.mu.RUnlock()
	if known {
		return nil
	}
	if err := r.refreshOverrides(context.Background(), r.storage.Overrides); err != nil && !errors.Is(err, ErrUnavailable) {
		return err
	}
	return nil
}

// equal compares what is applied to a key. After a storage has lost writes, the same revision may have other values.
func (o *Override) equal(other *Override) bool {
	return o.Disabled == other.Disabled && o.Policy.Equal(other.Policy) && o.Signing.Equal(other.Signing)
}

// forgetOverrides makes the keys of all other feeds unavailable until the overrides can be read again.
func (r *Registry) forgetOverrides() {
	r.overrides.mu.Lock()
	known := r.overrides.known
	r.overrides.known = false
	hooks := slices.Collect(maps.Values(r.overrides.hooks))
	r.overrides.mu.Unlock()
	for _, changed := range hooks {
		if known {
			changed.all()
		}
	}
}

// retryOverride calls write, which changes an override. If others write to the storage as well, it first reads the newest overrides, and
// calls write again after a conflict. writeMu is held.
func (r *Registry) retryOverride(ctx context.Context, write func() error) (err error) {
	remote, ok := r.storage.(RemoteStorage)
	if !ok {
		return write()
	}
	for range maxRetries {
		if err := r.refreshOverrides(ctx, remote.CurrentOverrides); err != nil {
			return err
		}
		if err = write(); !errors.Is(err, ErrConflict) {
			break
		}
	}
	return err
}
