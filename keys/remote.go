package keys

import (
	"errors"
	"time"
)

// keptKeys notes that a feed has given keys which it had kept. Its load counts as done, so that the store can be ready, and
// as failed, so that it is tried again.
func (s *Syncer) keptKeys(f *feedState, stale *Stale) {
	f.mu.Lock()
	if f.status.LastSuccess.IsZero() {
		f.status.LastSuccess = stale.At
	}
	f.mu.Unlock()
	s.failed(f, stale, &f.lastLoadError) // before the store can be ready: until then nothing is said against any token
	f.given.Store(true)
	s.readyIfComplete()
}

// missed looks at what a failure of a remote feed means for its keys.
func (s *Syncer) missed(f *feedState, err error, now time.Time) {
	remote, ok := f.feed.(Remote)
	if !ok {
		return
	}
	if _, partly := errors.AsType[*Refused](err); partly && !f.kept {
		// It was read, so it has no keys that are not known here, but for those of the error; and most often their tokens
		// are known, since others have them.
		s.store.SetAway(f.feed.Name(), s.store.lacks(f.refused))
		return
	}
	s.store.SetAway(f.feed.Name(), true)
	f.mu.Lock()
	confirmed := f.status.LastSuccess
	f.mu.Unlock()
	if fresh := remote.Fresh(); fresh.After(confirmed) {
		confirmed = fresh
	}
	if !outlived(f.feed, confirmed, now) {
		return
	}
	if change := s.store.Remove(f.feed.Name()); !change.IsZero() {
		f.tracked, f.refused = false, nil
		f.mu.Lock()
		f.status.Keys = 0
		f.mu.Unlock()
	}
}

// outlived tells whether keys that were the newest at a time must not count any more.
func outlived(f Feed, confirmed, now time.Time) bool {
	remote, ok := f.(Remote)
	return ok && now.Sub(confirmed) >= remote.Patience()
}

// retries is how long to wait before the first try after a failure, and at most.
func (f *feedState) retries() (first, longest time.Duration) {
	if _, ok := f.feed.(Remote); ok {
		return firstRemoteRetry, lastRemoteRetry
	}
	return firstRetry, lastRetry
}
