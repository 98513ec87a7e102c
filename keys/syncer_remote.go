package keys

import (
	"errors"
	"time"
)

// keptKeys records that a feed has returned cached keys. The load is treated as done, so that the store can become ready, and as
// failed, so that it is retried.
func (s *Syncer) keptKeys(f *feedState, stale *Stale) {
	f.mu.Lock()
	if f.status.LastSuccess.IsZero() {
		f.status.LastSuccess = stale.At
	}
	f.mu.Unlock()
	s.failed(f, stale, &f.lastLoadError) // before the store becomes ready: until then no token is rejected as unknown
	f.given.Store(true)
	s.readyIfComplete()
}

// missed handles the consequences of a remote feed's failure for its keys.
func (s *Syncer) missed(f *feedState, err error, now time.Time) {
	remote, ok := f.feed.(Remote)
	if !ok {
		return
	}
	if _, isConflict := errors.AsType[*Refused](err); isConflict && !f.kept {
		// The feed was read, so all its keys are known here except the conflicting ones. Usually even their tokens are known,
		// since other keys have them.
		s.store.SetAway(f.feed.Name(), s.store.lacks(f.conflicts))
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
		f.tracked, f.conflicts = false, nil
		f.mu.Lock()
		f.status.Keys = 0
		f.mu.Unlock()
	}
}

// outlived reports whether keys that were last confirmed at a time are too old to be used.
func outlived(f Feed, confirmed, now time.Time) bool {
	remote, ok := f.(Remote)
	return ok && now.Sub(confirmed) >= remote.Patience()
}

// backoffLimits returns the shortest and the longest wait before a retry.
func (f *feedState) backoffLimits() (shortest, longest time.Duration) {
	if _, ok := f.feed.(Remote); ok {
		return minRemoteBackoff, maxRemoteBackoff
	}
	return firstRetry, lastRetry
}
