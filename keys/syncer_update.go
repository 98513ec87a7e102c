package keys

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ConflictError is the error of a write that was applied except for some keys. Those keys are not stored, even if the feed had them
// before.
type ConflictError struct {
	ids map[string]bool
	err error
}

// Has reports whether the key with this ID was rejected.
func (r *ConflictError) Has(id string) bool { return r.ids[id] }

// Error lists each rejected key and the reason, one per line.
func (r *ConflictError) Error() string { return r.err.Error() }

// Unwrap returns the joined errors of the keys.
func (r *ConflictError) Unwrap() error { return r.err }

// update loads the feed, or only its changes if it knows them, and writes them to the store. Even with an error, the returned
// Change is what was written.
func (s *Syncer) update(ctx context.Context, f *feedState) (Change, error) {
	tracker, tracks := f.feed.(DeltaFeed)
	if tracks && f.tracked {
		f.tracked = false // until the changes are in the store
		delta, ok, err := tracker.Changes(ctx)
		if err != nil {
			_, unavailable := errors.AsType[*StaleError](err)
			f.tracked = ok && unavailable // the keys are as before
			return Change{}, err
		}
		if ok {
			f.fromCache = false
			return s.apply(f, f.retryRefused(delta))
		}
	}
	_, remote := f.feed.(RemoteFeed)
	if batches, ok := f.feed.(BatchFeed); ok && !tracks && !remote {
		return s.updateBatch(ctx, batches)
	}
	set, err := f.feed.Load(ctx)
	stale := (*StaleError)(nil)
	if err != nil && !errors.As(err, &stale) {
		return Change{}, err
	}
	if err := ctx.Err(); err != nil {
		return Change{}, err
	}
	if f.fromCache = stale != nil; f.fromCache {
		s.store.SetFeedUnavailable(f.feed.Name(), true) // before any key is removed
		if isTooStale(f.feed, stale.AsOf, time.Now()) {
			set = nil
		}
	}
	change, err := s.store.Replace(f.feed.Name(), set)
	if err != nil && (tracks || remote) && f.hasKeys.Load() {
		// Deletions, such as a revoked key, must not wait until a conflict between other keys is resolved. The same applies to
		// new keys if all stored keys came from the cache.
		change, err = s.apply(f, s.store.deltaTo(f.feed.Name(), set))
	} else {
		f.conflicts, f.tracked = nil, tracks && err == nil
	}
	if f.fromCache {
		f.tracked = false // the next delta of the feed does not start from cached keys
		if err == nil {
			err = stale
		}
	}
	return change, err
}

// updateBatch is update for a feed without changes that are known.
func (s *Syncer) updateBatch(ctx context.Context, f BatchFeed) (Change, error) {
	set, err := f.LoadBatch(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Change{}, err
	}
	return s.store.ReplaceBatch(f.Name(), set)
}

// apply applies a delta of the feed and stores its conflicting keys for a retry.
func (s *Syncer) apply(f *feedState, delta Delta) (Change, error) {
	change, err := s.store.Apply(f.feed.Name(), delta)
	conflict, partly := errors.AsType[*ConflictError](err)
	f.tracked, f.conflicts = err == nil || partly, nil
	if partly {
		f.conflicts = slices.DeleteFunc(slices.Clone(delta.Upserted), func(k Key) bool { return !conflict.Has(k.ID) })
	}
	return change, err
}

// retryRefused adds the keys that were rejected before to a delta, since their conflicts may be resolved now.
func (f *feedState) retryRefused(delta Delta) Delta {
	if len(f.conflicts) == 0 {
		return delta
	}
	inDelta := make(map[string]bool, len(delta.Upserted)+len(delta.Deleted))
	for i := range delta.Upserted {
		inDelta[delta.Upserted[i].ID] = true
	}
	for _, id := range delta.Deleted {
		inDelta[id] = true
	}
	delta.Upserted = slices.Clip(delta.Upserted)
	for i := range f.conflicts {
		if k := &f.conflicts[i]; !inDelta[k.ID] {
			delta.Upserted = append(delta.Upserted, *k)
		}
	}
	return delta
}

// missingAny reports whether one of the keys has a token that is not in the store.
func (s *Store) missingAny(set []Key) bool {
	for i := range set {
		for d := range set[i].digests {
			if s.Lookup(*d) == nil {
				return true
			}
		}
	}
	return false
}
