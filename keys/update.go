package keys

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Refused is the error of a change that the store took but for some keys. They do not count, even if the feed had them
// before; everything else does.
type Refused struct {
	ids map[string]bool
	err error
}

// Has reports whether the key with this id is one of them.
func (r *Refused) Has(id string) bool { return r.ids[id] }

// Error names each key and what is wrong with it, one a line.
func (r *Refused) Error() string { return r.err.Error() }

// Unwrap returns the faults.
func (r *Refused) Unwrap() error { return r.err }

// update reads the feed, or what has changed in it if it can tell, and writes that to the store. With an error the change
// is what was written all the same.
func (s *Syncer) update(ctx context.Context, f *feedState) (Change, error) {
	tracker, tracks := f.feed.(Tracker)
	if tracks && f.tracked {
		f.tracked = false // until it is in the store
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
		s.store.SetAway(f.feed.Name(), true) // before any key is taken away
		if outlived(f.feed, stale.At, time.Now()) {
			set = nil
		}
	}
	change, err := s.store.Replace(f.feed.Name(), set)
	if _, remote := f.feed.(Remote); err != nil && (tracks || remote) && f.given.Load() {
		// What is gone, such as a key that was revoked, must not wait until a conflict between others has ended; nor must
		// what is new while all that there is was kept from before.
		change, err = s.apply(f, s.store.deltaTo(f.feed.Name(), set))
	} else {
		f.refused, f.tracked = nil, tracks && err == nil
	}
	if f.kept {
		f.tracked = false // what the feed tells next begins at nothing
		if err == nil {
			err = stale
		}
	}
	return change, err
}

// apply brings a delta of the feed into the store, and remembers what was refused of it.
func (s *Syncer) apply(f *feedState, delta Delta) (Change, error) {
	change, err := s.store.Apply(f.feed.Name(), delta)
	refused, partly := errors.AsType[*Refused](err)
	f.tracked, f.refused = err == nil || partly, nil
	if partly {
		f.refused = slices.DeleteFunc(slices.Clone(delta.Put), func(k Key) bool { return !refused.Has(k.ID) })
	}
	return change, err
}

// again is a delta with the keys that were refused before, for what they were in conflict with may be gone.
func (f *feedState) again(delta Delta) Delta {
	if len(f.refused) == 0 {
		return delta
	}
	named := make(map[string]bool, len(delta.Put)+len(delta.Gone))
	for i := range delta.Put {
		named[delta.Put[i].ID] = true
	}
	for _, id := range delta.Gone {
		named[id] = true
	}
	delta.Put = slices.Clip(delta.Put)
	for i := range f.refused {
		if k := &f.refused[i]; !named[k.ID] {
			delta.Put = append(delta.Put, *k)
		}
	}
	return delta
}

// lacks tells whether one of the keys has a token that the store does not know.
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
