package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// How long Run waits before it retries a failed feed. The wait doubles from the minimum to the maximum.
const (
	minBackoff = 5 * time.Second
	maxBackoff = time.Minute

	minRemoteBackoff = 500 * time.Millisecond // another system may become available at any moment
	maxRemoteBackoff = 15 * time.Second
)

// Syncer loads the keys of feeds into a store and keeps them up to date. When a feed fails, its last good keys stay. It is safe
// for concurrent use. Create one with NewSyncer.
type Syncer struct {
	store    *Store
	observer Observer // may be nil
	feeds    []*feedState
}

// feedState is a feed and its state.
type feedState struct {
	feed      Feed
	wake      chan struct{} // contains a value when a load is due
	recovered chan struct{} // contains a value when a load succeeded after a failure, so that Watch is called again

	hasKeys atomic.Bool // the feed has provided keys at least once, if only cached ones

	loading       sync.Mutex // held during a load, so that loads are not concurrent; guards the following fields
	lastLoadError string     // empty after a success
	tracked       bool       // the store has all keys of the last Load or Changes except conflicts
	conflicts     []Key      // keys of that load that the store has rejected
	fromCache     bool       // the last load returned cached keys

	mu     sync.Mutex // guards status
	status FeedStatus
}

// NewSyncer returns a Syncer that has not loaded anything yet. o may be nil.
func NewSyncer(store *Store, feeds []Feed, o Observer) *Syncer {
	s := &Syncer{store: store, observer: o}
	for _, f := range feeds {
		s.feeds = append(s.feeds, &feedState{
			feed: f, wake: make(chan struct{}, 1), recovered: make(chan struct{}, 1), status: FeedStatus{Name: f.Name()},
		})
	}
	return s
}

// LoadAll loads every feed for the first time, in the given order. The error joins the errors of all feeds, each with the name
// of its feed. The store becomes ready only if there is no error.
func (s *Syncer) LoadAll(ctx context.Context) error {
	if err := s.checkNames(); err != nil {
		return err
	}
	return s.Reload(ctx)
}

// checkNames returns an error if two feeds have the same name: the store identifies a feed's keys by that name, so each feed
// would remove the keys of the other.
func (s *Syncer) checkNames() error {
	var errs []error
	seen := make(map[string]bool, len(s.feeds))
	for _, f := range s.feeds {
		name := f.feed.Name()
		if seen[name] {
			errs = append(errs, fmt.Errorf("two feeds are named %s: give each feed a unique name", name))
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}

// Reload loads every feed now. A feed that fails keeps its last good keys, and the error is part of the result. Once every feed
// has been loaded, the store is ready and stays ready.
func (s *Syncer) Reload(ctx context.Context) error {
	var errs []error
	for _, f := range s.feeds {
		if err := s.load(ctx, f); err != nil {
			errs = append(errs, fmt.Errorf("feed %s: %w", f.feed.Name(), err))
		}
	}
	s.readyIfComplete()
	return errors.Join(errs...)
}

// Sync loads the changes of one feed into the store now: when it returns nil, decisions are based on them. If ctx ends before
// that, Run loads them later. An unknown name is an error.
func (s *Syncer) Sync(ctx context.Context, feed string) error {
	for _, f := range s.feeds {
		if f.feed.Name() == feed {
			err := s.load(ctx, f)
			if err != nil && ctx.Err() != nil {
				f.requestLoad()
			}
			return err
		}
	}
	return fmt.Errorf("unknown feed %s", feed)
}

// Status returns the state of each feed, in the given order.
func (s *Syncer) Status() []FeedStatus {
	all := make([]FeedStatus, len(s.feeds))
	for i, f := range s.feeds {
		f.mu.Lock()
		all[i] = f.status
		f.mu.Unlock()
	}
	return all
}

// load loads the keys of one feed into the store.
func (s *Syncer) load(ctx context.Context, f *feedState) error {
	f.loading.Lock()
	defer f.loading.Unlock()

	change, err := s.update(ctx, f)
	now := time.Now()
	f.mu.Lock()
	f.status.Keys += change.Added - change.Removed // even after an error: a delta may have been applied partially
	if err == nil {
		if f.status.LastError != "" {
			signal(f.recovered)
		}
		f.status.LastSuccess, f.status.LastError, f.status.TooStale = now, "", false
	}
	count := f.status.Keys
	f.mu.Unlock()
	if !change.IsZero() {
		s.retryOthers(f)
	}
	if ctxErr := ctx.Err(); ctxErr != nil && err != nil {
		return ctxErr // canceled by the caller: the feed did not fail
	}
	if stale := (*StaleError)(nil); errors.As(err, &stale) {
		s.useCached(f, stale)
		return nil
	}
	if err != nil {
		s.failed(f, err, &f.lastLoadError)
		return err
	}
	s.store.SetFeedUnavailable(f.feed.Name(), false)
	f.lastLoadError = ""
	f.hasKeys.Store(true)
	if s.observer != nil {
		s.observer.FeedLoaded(f.feed.Name(), count, change, now)
	}
	s.readyIfComplete()
	return nil
}

// failed records a failure. last points to the text of the previous failure, which is empty after a success.
func (s *Syncer) failed(f *feedState, err error, last *string) {
	now, text := time.Now(), err.Error()
	f.mu.Lock()
	f.status.Failures++
	f.status.LastFailure, f.status.LastError = now, text
	f.mu.Unlock()
	s.handleOutage(f, err, now)
	if *last != text && s.observer != nil {
		s.observer.FeedFailed(f.feed.Name(), err, now)
	}
	*last = text
}

func (s *Syncer) readyIfComplete() {
	for _, f := range s.feeds {
		if !f.hasKeys.Load() {
			return
		}
	}
	s.store.SetReady(true)
}

// retryOthers wakes the failing feeds: the change may have resolved their conflicts.
func (s *Syncer) retryOthers(changed *feedState) {
	for _, f := range s.feeds {
		if f != changed && f.failing() {
			f.requestLoad()
		}
	}
}

// Run watches all feeds and loads their changes until ctx ends. It returns when all its goroutines have ended. A failed feed is
// retried with backoff, and immediately when another feed has changed, since the change may have resolved a conflict between
// them.
func (s *Syncer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, f := range s.feeds {
		wg.Go(func() { s.watchLoop(ctx, f) })
		wg.Go(func() { s.loadLoop(ctx, f) })
	}
	wg.Wait()
}

// watchLoop calls Watch of one feed and restarts it after an error.
func (s *Syncer) watchLoop(ctx context.Context, f *feedState) {
	var last string
	shortest, longest := f.backoffLimits()
	for wait := shortest; ; wait = min(2*wait, longest) {
		begun := time.Now()
		err := f.feed.Watch(ctx, f.requestLoad)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the watch has ended unexpectedly")
		}
		f.loading.Lock() // calls of the observer for one feed must not be concurrent
		s.failed(f, fmt.Errorf("watching for changes: %w", err), &last)
		f.loading.Unlock()
		if time.Since(begun) > longest {
			wait, last = shortest, "" // the watch was healthy for a while
		}
		select {
		case <-ctx.Done():
			return
		case <-f.recovered: // a load has succeeded, so no change was missed
		case <-time.After(wait):
			f.requestLoad() // changes may have been missed
		}
	}
}

// loadLoop loads one feed whenever a load is due.
func (s *Syncer) loadLoop(ctx context.Context, f *feedState) {
	shortest, longest := f.backoffLimits()
	wait := shortest
	retry := time.NewTimer(wait)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			wait = shortest
		case <-retry.C:
			if !f.failing() {
				retry.Reset(wait)
				continue
			}
			wait = min(2*wait, longest)
		}
		_ = s.load(ctx, f) // load has already reported the error
		retry.Reset(wait)
	}
}

func (f *feedState) requestLoad() { signal(f.wake) } // a pending load will include this change, too

// signal sends a value to a channel with buffer size 1, unless it already contains one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (f *feedState) failing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status.LastError != ""
}
