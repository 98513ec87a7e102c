package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// How long Run waits before it tries a failed feed again: doubling from the first to the last.
const (
	firstRetry = 5 * time.Second
	lastRetry  = time.Minute

	firstRemoteRetry = 500 * time.Millisecond // another system may be back any moment
	lastRemoteRetry  = 15 * time.Second
)

// Syncer brings the keys of feeds into a store and keeps them there: when a feed fails, its last good keys stay. It is safe
// for concurrent use. Make one with NewSyncer.
type Syncer struct {
	store    *Store
	observer Observer // may be nil
	feeds    []*feedState
}

// feedState is one feed and how it is doing.
type feedState struct {
	feed Feed
	wake chan struct{} // holds one value when a load is due
	back chan struct{} // holds one value when a load went well again, so that a watch may, too

	given atomic.Bool // it has given keys once, if only ones that it had kept

	loading       sync.Mutex // held during a load: one at a time; guards the following
	lastLoadError string     // empty after a success
	tracked       bool       // the store has what the feed had at its last Load or Changes, but for refused
	refused       []Key      // what the store did not take of that
	kept          bool       // that was what the feed had kept

	mu     sync.Mutex // guards status
	status FeedStatus
}

// NewSyncer returns a syncer that has not loaded anything yet. o may be nil.
func NewSyncer(store *Store, feeds []Feed, o Observer) *Syncer {
	s := &Syncer{store: store, observer: o}
	for _, f := range feeds {
		s.feeds = append(s.feeds, &feedState{
			feed: f, wake: make(chan struct{}, 1), back: make(chan struct{}, 1), status: FeedStatus{Name: f.Name()},
		})
	}
	return s
}

// LoadAll loads every feed for the first time, in the order they were given. The error joins the failures of all feeds, each
// with the name of its feed. Only if there is none does the store become ready.
func (s *Syncer) LoadAll(ctx context.Context) error {
	if err := s.checkNames(); err != nil {
		return err
	}
	return s.Reload(ctx)
}

// checkNames refuses two feeds of one name: the store tells their keys apart by it, so each would throw out the other's.
func (s *Syncer) checkNames() error {
	var errs []error
	seen := make(map[string]bool, len(s.feeds))
	for _, f := range s.feeds {
		name := f.feed.Name()
		if seen[name] {
			errs = append(errs, fmt.Errorf("two feeds have the name %s: give them different names", name))
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}

// Reload loads every feed now. A feed that fails keeps its last good keys, and its failure is part of the error. Once every
// feed has been loaded the store is ready, and stays so.
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

// Sync brings what has changed in one feed into the store, now: when it returns without an error, decisions are made on
// it. If ctx ends before that, it is left to Run. A name that no feed has is an error.
func (s *Syncer) Sync(ctx context.Context, feed string) error {
	for _, f := range s.feeds {
		if f.feed.Name() == feed {
			err := s.load(ctx, f)
			if err != nil && ctx.Err() != nil {
				f.due()
			}
			return err
		}
	}
	return fmt.Errorf("there is no feed %s", feed)
}

// Status returns how each feed is doing, in the order the feeds were given.
func (s *Syncer) Status() []FeedStatus {
	all := make([]FeedStatus, len(s.feeds))
	for i, f := range s.feeds {
		f.mu.Lock()
		all[i] = f.status
		f.mu.Unlock()
	}
	return all
}

// load brings the keys of one feed into the store.
func (s *Syncer) load(ctx context.Context, f *feedState) error {
	f.loading.Lock()
	defer f.loading.Unlock()

	change, err := s.update(ctx, f)
	now := time.Now()
	f.mu.Lock()
	f.status.Keys += change.Added - change.Removed // also of a delta that was applied in part
	if err == nil {
		if f.status.LastError != "" {
			signal(f.back)
		}
		f.status.LastSuccess, f.status.LastError = now, ""
	}
	count := f.status.Keys
	f.mu.Unlock()
	if !change.IsZero() {
		s.retryOthers(f)
	}
	if ctxErr := ctx.Err(); ctxErr != nil && err != nil {
		return ctxErr // given up by the caller: that says nothing about the feed
	}
	if stale := (*Stale)(nil); errors.As(err, &stale) {
		s.keptKeys(f, stale)
		return nil
	}
	if err != nil {
		s.failed(f, err, &f.lastLoadError)
		return err
	}
	s.store.SetAway(f.feed.Name(), false)
	f.lastLoadError = ""
	f.given.Store(true)
	if s.observer != nil {
		s.observer.FeedLoaded(f.feed.Name(), count, change, now)
	}
	s.readyIfComplete()
	return nil
}

// failed records a failure. last is the text of the failure before it, empty if there was a success in between.
func (s *Syncer) failed(f *feedState, err error, last *string) {
	now, text := time.Now(), err.Error()
	f.mu.Lock()
	f.status.Failures++
	f.status.LastFailure, f.status.LastError = now, text
	f.mu.Unlock()
	s.missed(f, err, now)
	if *last != text && s.observer != nil {
		s.observer.FeedFailed(f.feed.Name(), err, now)
	}
	*last = text
}

func (s *Syncer) readyIfComplete() {
	for _, f := range s.feeds {
		if !f.given.Load() {
			return
		}
	}
	s.store.SetReady(true)
}

// retryOthers wakes the feeds that fail: what they were in conflict with may be gone.
func (s *Syncer) retryOthers(changed *feedState) {
	for _, f := range s.feeds {
		if f != changed && f.failing() {
			f.due()
		}
	}
}

// Run watches all feeds and loads what has changed, until ctx ends. It returns when all its goroutines have ended. A feed
// that fails is tried again after a while, and at once when another feed has changed: they may have been in conflict.
func (s *Syncer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, f := range s.feeds {
		wg.Go(func() { s.watch(ctx, f) })
		wg.Go(func() { s.follow(ctx, f) })
	}
	wg.Wait()
}

// watch keeps the watch of one feed running.
func (s *Syncer) watch(ctx context.Context, f *feedState) {
	var last string
	first, longest := f.retries()
	for wait := first; ; wait = min(2*wait, longest) {
		begun := time.Now()
		err := f.feed.Watch(ctx, f.due)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the watch has ended by itself")
		}
		f.loading.Lock() // keeps the calls of the observer apart
		s.failed(f, fmt.Errorf("watching for changes: %w", err), &last)
		f.loading.Unlock()
		if time.Since(begun) > longest {
			wait, last = first, "" // it went well for a while
		}
		select {
		case <-ctx.Done():
			return
		case <-f.back: // what was missed is loaded
		case <-time.After(wait):
			f.due() // changes may have been missed
		}
	}
}

// follow loads one feed whenever that is due.
func (s *Syncer) follow(ctx context.Context, f *feedState) {
	first, longest := f.retries()
	wait := first
	retry := time.NewTimer(wait)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			wait = first
		case <-retry.C:
			if !f.failing() {
				retry.Reset(wait)
				continue
			}
			wait = min(2*wait, longest)
		}
		_ = s.load(ctx, f) // it has reported the error itself
		retry.Reset(wait)
	}
}

func (f *feedState) due() { signal(f.wake) } // if one is waiting already, its load will see this change too

// signal puts a value into a channel that has none.
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
