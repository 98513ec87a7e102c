package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeFeed returns the keys and errors that a test has set.
type fakeFeed struct {
	name string

	mu       sync.Mutex
	set      []Key
	err      error
	watchErr error
	changed  func() // set while Watch runs
}

func (f *fakeFeed) Name() string { return f.name }

func (f *fakeFeed) Load(context.Context) ([]Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set, f.err
}

func (f *fakeFeed) Watch(ctx context.Context, changed func()) error {
	f.mu.Lock()
	err := f.watchErr
	f.changed = changed
	f.mu.Unlock()
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// give sets the result of the next loads, without calling changed.
func (f *fakeFeed) give(err error, set ...Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set, f.err = set, err
}

// announce calls the changed function of the running Watch.
func (f *fakeFeed) announce() {
	f.mu.Lock()
	changed := f.changed
	f.mu.Unlock()
	changed()
}

// observerRecorder is an Observer that records all calls.
type observerRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (j *observerRecorder) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *observerRecorder) FeedLoaded(feed string, keys int, c Change, _ time.Time) {
	j.add("%s: %d keys %+v", feed, keys, c)
}

func (j *observerRecorder) FeedFailed(feed string, err error, _ time.Time) {
	j.add("%s: failed: %v", feed, err)
}

// take returns the lines recorded since the last call.
func (j *observerRecorder) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := strings.Join(j.lines, "\n")
	j.lines = nil
	return lines
}

func (j *observerRecorder) expect(t *testing.T, lines ...string) {
	t.Helper()
	if got, want := j.take(), strings.Join(lines, "\n"); got != want {
		t.Errorf("observed:\n%s\nwant:\n%s", got, want)
	}
}

// startSyncer starts a syncer in a synctest bubble. It is stopped at the end of the test.
func startSyncer(t *testing.T, store *Store, j *observerRecorder, feeds ...Feed) *Syncer {
	t.Helper()
	s := NewSyncer(store, feeds, j)
	if err := s.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
	return s
}

func TestLoadAllMakesStoreReady(t *testing.T) {
	f, g := &fakeFeed{name: "f"}, &fakeFeed{name: "g"}
	f.give(nil, sourceKey("a"))
	g.give(nil, sourceKey("b"))
	store, j := NewStore(), &observerRecorder{}
	if err := NewSyncer(store, []Feed{f, g}, j).LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.expect(t, "f: 1 keys {Added:1 Updated:0 Removed:0}", "g: 1 keys {Added:1 Updated:0 Removed:0}")
	if !store.Ready() || store.Len() != 2 {
		t.Errorf("ready %v, %d keys", store.Ready(), store.Len())
	}
}

func TestLoadAllWithoutFeedsOrObserver(t *testing.T) {
	store := NewStore()
	if err := NewSyncer(store, nil, nil).LoadAll(t.Context()); err != nil || !store.Ready() {
		t.Errorf("error %v, ready %v", err, store.Ready())
	}
	f := &fakeFeed{name: "f", err: errors.New("unavailable")}
	if err := NewSyncer(store, []Feed{f}, nil).LoadAll(t.Context()); err == nil {
		t.Error("no error")
	}
}

// Every failing feed is named with all its errors. The other feeds are loaded, but the store is not ready.
func TestLoadAllReportsEveryFailure(t *testing.T) {
	bad, good, clash := &fakeFeed{name: "bad"}, &fakeFeed{name: "good"}, &fakeFeed{name: "clash"}
	bad.give(errors.New("no such file"))
	good.give(nil, sourceKey("a"))
	clash.give(nil, sourceKey("a"))
	store, j := NewStore(), &observerRecorder{}
	s := NewSyncer(store, []Feed{bad, good, clash}, j)
	err := s.LoadAll(t.Context())
	want := "feed bad: no such file\n" +
		"feed clash: key a: the id is also used in feed good\nkey a: same token as key a of feed good"
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
	if store.Ready() {
		t.Error("ready although not all feeds were loaded")
	}
	status := s.Status()
	if status[0].Failures != 1 || status[0].LastError != "no such file" || status[0].LastFailure.IsZero() ||
		!status[0].LastSuccess.IsZero() {
		t.Errorf("status of bad: %+v", status[0])
	}
	if status[1].Keys != 1 || status[1].LastSuccess.IsZero() || status[1].LastError != "" || status[1].Failures != 0 {
		t.Errorf("status of good: %+v", status[1])
	}
}

// Two feeds with the same name would remove each other's keys.
func TestLoadAllRejectsDuplicateFeedNames(t *testing.T) {
	store := NewStore()
	err := NewSyncer(store, []Feed{&fakeFeed{name: "f"}, &fakeFeed{name: "f"}}, nil).LoadAll(t.Context())
	if err == nil || err.Error() != "two feeds are named f: give each feed a unique name" || store.Ready() {
		t.Errorf("error %v, ready %v", err, store.Ready())
	}
}

// A load that its caller cancels is not a failure of the feed.
func TestCanceledLoadIsNotAFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := &observerRecorder{}
	s := NewSyncer(NewStore(), []Feed{&fakeFeed{name: "f", err: errors.New("unavailable")}}, j)
	if err := s.LoadAll(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if status := s.Status()[0]; status.Failures != 0 || status.LastError != "" {
		t.Errorf("status %+v", status)
	}
	j.expect(t)
}

// After an invalid change the last good keys stay, and a repeated error is reported once. A successful load resets that.
func TestRunKeepsTheLastGoodKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFeed{name: "f"}
		f.give(nil, sourceKey("a"))
		store, j := NewStore(), &observerRecorder{}
		s := startSyncer(t, store, j, f)
		j.expect(t, "f: 1 keys {Added:1 Updated:0 Removed:0}")
		loaded := s.Status()[0].LastSuccess

		time.Sleep(time.Second) // on the bubble's clock
		f.give(errors.New("line 3 is bad"))
		for range 3 {
			f.announce()
			synctest.Wait()
		}
		j.expect(t, "f: failed: line 3 is bad")
		status := s.Status()[0]
		if status.Failures != 3 || status.LastError != "line 3 is bad" || status.Keys != 1 || !status.LastSuccess.Equal(loaded) ||
			!status.LastFailure.After(loaded) {
			t.Errorf("status %+v", status)
		}
		if store.Get("a") == nil || !store.Ready() {
			t.Error("the last good keys are gone")
		}

		f.give(errors.New("line 4 is bad"))
		f.announce()
		synctest.Wait()
		j.expect(t, "f: failed: line 4 is bad")

		f.give(nil, sourceKey("a"), sourceKey("b"))
		f.announce()
		synctest.Wait()
		j.expect(t, "f: 2 keys {Added:1 Updated:0 Removed:0}")
		if status := s.Status()[0]; status.LastError != "" || status.Keys != 2 || status.Failures != 4 {
			t.Errorf("status %+v", status)
		}

		f.give(errors.New("line 4 is bad")) // the same error after a success is reported again
		f.announce()
		synctest.Wait()
		j.expect(t, "f: failed: line 4 is bad")
	})
}

// A failed feed is retried with backoff. A healthy feed is not reloaded.
func TestRunRetriesFailedFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, good := &fakeFeed{name: "f"}, &fakeFeed{name: "good"}
		store, j := NewStore(), &observerRecorder{}
		s := startSyncer(t, store, j, f, good)
		j.take()
		f.give(errors.New("unavailable"))
		f.announce()
		time.Sleep(10 * time.Minute)
		failures := s.Status()[0].Failures
		if failures < 5 || failures > 20 {
			t.Errorf("%d tries in ten minutes", failures)
		}
		f.give(nil, sourceKey("a"))
		time.Sleep(2 * time.Minute)
		j.expect(t, "f: failed: unavailable", "f: 1 keys {Added:1 Updated:0 Removed:0}")
	})
}

// When a key moves from one feed to another, the conflicting feed gets it as soon as the other feed has removed it.
func TestRunResolvesConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, g := &fakeFeed{name: "f"}, &fakeFeed{name: "g"}
		f.give(nil, sourceKey("a"))
		store, j := NewStore(), &observerRecorder{}
		startSyncer(t, store, j, f, g)
		g.give(nil, sourceKey("a"))
		g.announce()
		synctest.Wait()
		if store.Get("a").Feed != "f" {
			t.Error("the key was taken from its feed")
		}
		f.give(nil)
		f.announce()
		synctest.Wait() // no time passes
		if k := store.Get("a"); k == nil || k.Feed != "g" {
			t.Errorf("key %+v", k)
		}
	})
}

// A failed watch is reported once and restarted, and meanwhile the feed is loaded regularly.
func TestRunRestartsWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFeed{name: "f", watchErr: errors.New("no watches left")}
		store, j := NewStore(), &observerRecorder{}
		startSyncer(t, store, j, f)
		f.give(nil, sourceKey("a"))
		time.Sleep(10 * time.Minute)
		if store.Get("a") == nil {
			t.Error("the change was missed")
		}
		if got := strings.Count(j.take(), "f: failed: watching for changes: no watches left"); got != 1 {
			t.Errorf("reported %d times", got)
		}
		f.mu.Lock()
		f.watchErr = nil
		f.mu.Unlock()
		time.Sleep(2 * time.Minute)
		f.give(nil, sourceKey("b"))
		f.announce()
		synctest.Wait()
		if store.Get("b") == nil {
			t.Error("the watch is not running")
		}
	})
}

// Reload loads changes immediately, and makes a store ready that was not.
func TestReload(t *testing.T) {
	f := &fakeFeed{name: "f", err: errors.New("unavailable")}
	store := NewStore()
	s := NewSyncer(store, []Feed{f}, nil)
	if err := s.LoadAll(t.Context()); err == nil || store.Ready() {
		t.Fatalf("error %v, ready %v", err, store.Ready())
	}
	f.give(nil, sourceKey("a"))
	if err := s.Reload(t.Context()); err != nil || store.Get("a") == nil || !store.Ready() {
		t.Errorf("error %v, ready %v", err, store.Ready())
	}
	f.give(errors.New("unavailable again"))
	if err := s.Reload(t.Context()); err == nil || err.Error() != "feed f: unavailable again" || store.Get("a") == nil || !store.Ready() {
		t.Errorf("error %v, ready %v", err, store.Ready())
	}
}
