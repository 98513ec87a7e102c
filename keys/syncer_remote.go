package keys

import (
	"errors"
	"time"
)

// useCached records that a feed has returned cached keys. The load is treated as done, so that the store can become ready, and as
// failed, so that it is retried.
func (s *Syncer) useCached(f *feedState, stale *StaleError) {
	f.mu.Lock()
	if f.status.LastSuccess.IsZero() {
		f.status.LastSuccess = stale.AsOf
	}
	f.mu.Unlock()
	s.failed(f, stale, &f.lastLoadError) // before the store becomes ready: until then no token is rejected as unknown
	f.hasKeys.Store(true)
	s.readyIfComplete()
}

// handleOutage handles the consequences of a remote feed's failure for its keys.
func (s *Syncer) handleOutage(f *feedState, err error, now time.Time) {
	remote, ok := f.feed.(RemoteFeed)
	if !ok {
		return
	}
	if _, isConflict := errors.AsType[*ConflictError](err); isConflict && !f.fromCache {
		// The feed was read, so all its keys are known here except the conflicting ones. Usually even their tokens are known,
		// since other keys have them.
		s.store.SetFeedUnavailable(f.feed.Name(), s.store.missingAny(f.conflicts))
		return
	}
	s.store.SetFeedUnavailable(f.feed.Name(), true)
	f.mu.Lock()
	confirmed := f.status.LastSuccess
	f.mu.Unlock()
	if fresh := remote.LastConfirmed(); fresh.After(confirmed) {
		confirmed = fresh
	}
	if !isTooStale(f.feed, confirmed, now) {
		return
	}
	change := s.store.Remove(f.feed.Name())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.TooStale = !confirmed.IsZero()
	if !change.IsZero() {
		f.tracked, f.conflicts = false, nil
		f.status.Keys = 0
	}
}

// isTooStale reports whether keys that were last confirmed at a time are too old to be used.
func isTooStale(f Feed, confirmed, now time.Time) bool {
	remote, ok := f.(RemoteFeed)
	return ok && now.Sub(confirmed) >= remote.MaxStale()
}

// backoffLimits returns the shortest and the longest wait before a retry.
func (f *feedState) backoffLimits() (shortest, longest time.Duration) {
	if _, ok := f.feed.(RemoteFeed); ok {
		return minRemoteBackoff, maxRemoteBackoff
	}
	return minBackoff, maxBackoff
}
