package keys

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Refused is the error of a write that was applied except for some keys. Those keys are not stored, even if the feed had them
// before.
type Refused struct {
	ids map[string]bool
	err error
}

// Has reports whether the key with this ID was rejected.
func (r *Refused) Has(id string) bool { return r.ids[id] }

// Error lists each rejected key and the reason, one per line.
func (r *Refused) Error() string { return r.err.Error() }

// Unwrap returns the joined errors of the keys.
func (r *Refused) Unwrap() error { return r.err }

// update loads the feed, or only its changes if it knows them, and writes them to the store. Even with an error, the returned
// Change is what was written.
func (s *Syncer) update(ctx context.Context, f *feedState) (Change, error) {
	tracker, tracks := f.feed.(Tracker)
	if tracks && f.tracked {
		f.tracked = false // until the changes are in the store
		delta, ok, err := tracker.Changes(ctx)
		if err != nil {
			return Change{}, err
		}
		if ok {
			f.kept = false
			return s.apply(f, f.again(delta))
		}
	}
	set, err := f.feed.Load(ctx)
	stale := (*Stale)(nil)
	if err != nil && !errors.As(err, &stale) {
		return Change{}, err
	}
	if err := ctx.Err(); err != nil {
		return Change{}, err
	}
	if f.kept = stale != nil; f.kept {
		s.store.SetAway(f.feed.Name(), true) // before any key is removed
		if outlived(f.feed, stale.At, time.Now()) {
			set = nil
		}
	}
	change, err := s.store.Replace(f.feed.Name(), set)
	if _, remote := f.feed.(Remote); err != nil && (tracks || remote) && f.given.Load() {
		// Deletions, such as a revoked key, must not wait until a conflict between other keys is resolved. The same applies to
		// new keys if all stored keys came from the cache.
		change, err = s.apply(f, s.store.deltaTo(f.feed.Name(), set))
	} else {
		f.conflicts, f.tracked = nil, tracks && err == nil
	}
	if f.kept {
		f.tracked = false // the next delta of the feed does not start from cached keys
		if err == nil {
			err = stale
		}
	}
	return change, err
}

// apply applies a delta of the feed and stores its conflicting keys for a retry.
func (s *Syncer) apply(f *feedState, delta Delta) (Change, error) {
	change, err := s.store.Apply(f.feed.Name(), delta)
	conflict, partly := errors.AsType[*Refused](err)
	f.tracked, f.conflicts = err == nil || partly, nil
	if partly {
		f.conflicts = slices.DeleteFunc(slices.Clone(delta.Put), func(k Key) bool { return !conflict.Has(k.ID) })
	}
	return change, err
}

// again adds the keys that were rejected before to a delta, since their conflicts may be resolved now.
func (f *feedState) again(delta Delta) Delta {
	if len(f.conflicts) == 0 {
		return delta
	}
	inDelta := make(map[string]bool, len(delta.Put)+len(delta.Gone))
	for i := range delta.Put {
		inDelta[delta.Put[i].ID] = true
	}
	for _, id := range delta.Gone {
		inDelta[id] = true
	}
	delta.Put = slices.Clip(delta.Put)
	for i := range f.conflicts {
		if k := &f.conflicts[i]; !inDelta[k.ID] {
			delta.Put = append(delta.Put, *k)
		}
	}
	return delta
}

// lacks reports whether one of the keys has a token that is not in the store.
func (s *Store) lacks(set []Key) bool {
	for i := range set {
		for d := range set[i].digests {
			if s.Lookup(*d) == nil {
				return true
			}
		}
	}
	return false
}
