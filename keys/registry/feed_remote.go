package registry

import (
	"context"
	"errors"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// remoteFeed is the feed of a registry whose storage is a RemoteStorage.
type remoteFeed struct{ *feed }

var (
	_ keys.DeltaFeed  = (*remoteFeed)(nil)
	_ keys.RemoteFeed = (*remoteFeed)(nil)
)

// LastConfirmed implements keys.RemoteFeed.
func (f *remoteFeed) LastConfirmed() time.Time { return f.remote.LastConfirmed() }

// MaxStale implements keys.RemoteFeed.
func (f *remoteFeed) MaxStale() time.Duration { return f.remote.MaxStale() }

// loadCopy returns the keys of the copy, with a *keys.StaleError that contains the cause. f.mu is held.
func (f *feed) loadCopy(ctx context.Context, cause error) ([]keys.Key, error) {
	if confirmed := f.remote.LastConfirmed(); !confirmed.IsZero() {
		if stale := f.stale(cause); f.registry.currentTime().Sub(stale.AsOf) >= f.remote.MaxStale() {
			return nil, stale // the keys would not be used
		}
	}
	var position Position
	set, err := f.load(ctx, func(ctx context.Context, yield func(*Record) error) (err error) {
		position, err = f.remote.ReadCopy(ctx, cause, yield)
		return err
	})
	stale, ok := errors.AsType[*keys.StaleError](err)
	if !ok {
		return nil, err
	}
	if err := f.registry.restoreOverrides(); err != nil {
		return nil, err
	}
	f.position = position
	if f.registry.currentTime().Sub(stale.AsOf) >= f.remote.MaxStale() {
		f.registry.forgetOverrides()
	}
	return set, stale
}

// stale returns the error of a storage that is unavailable. What is known about keys of other feeds expires like the keys.
func (f *feed) stale(cause error) *keys.StaleError {
	stale := &keys.StaleError{AsOf: f.remote.LastConfirmed(), Err: cause}
	if f.registry.currentTime().Sub(stale.AsOf) >= f.remote.MaxStale() {
		f.registry.forgetOverrides()
	}
	return stale
}
