package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// fakeTracker is a Tracker that returns the changes that a test has set.
type fakeTracker struct {
	fakeFeed

	delta  Delta
	cannot bool  // Changes returns ok = false
	err    error // returned by Changes
	calls  string
}

func (f *fakeTracker) Load(ctx context.Context) ([]Key, error) {
	f.record("load ")
	return f.fakeFeed.Load(ctx)
}

func (f *fakeTracker) Changes(context.Context) (Delta, bool, error) {
	f.record("changes ")
	f.mu.Lock()
	defer f.mu.Unlock()
	delta := f.delta
	f.delta = Delta{}
	return delta, !f.cannot, f.err
}

func (f *fakeTracker) record(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls += call
}

// change sets the result of the next call of Changes, and of Load from now on.
func (f *fakeTracker) change(delta Delta, set ...Key) {
	f.give(nil, set...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delta = delta
}

func (f *fakeTracker) expect(t *testing.T, step, calls string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls != calls {
		t.Errorf("%s: calls %q, want %q", step, f.calls, calls)
	}
	f.calls = ""
}

// A delta feed is loaded completely only at first, after a failure, and when it does not know its changes. Its key count is
// always correct.
func TestSyncDeltaFeed(t *testing.T) {
	f := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}
	f.give(nil, sourceKey("a"), sourceKey("b"))
	store, j := NewStore(), &observerRecorder{}
	s := NewSyncer(store, []Feed{&fakeFeed{name: "other"}, f}, j)
	if err := s.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.expect(t, "at first", "load ")
	j.take()
	sync := func(step, calls, observed string, ids ...string) {
		t.Helper()
		err := s.Sync(t.Context(), "f")
		f.expect(t, step, calls)
		j.expect(t, observed)
		status := s.Status()[1]
		if (err != nil) != (status.LastError != "") || status.Keys != len(ids) || store.Len() != len(ids) {
			t.Errorf("%s: error %v, %d keys, status %+v", step, err, store.Len(), status)
		}
		for _, id := range ids {
			if store.Get(id) == nil {
				t.Errorf("%s: key %s is missing", step, id)
			}
		}
	}
	renamed := sourceKey("a")
	renamed.Name = "other"

	f.change(Delta{Upserted: []Key{renamed, sourceKey("c")}, Deleted: []string{"b"}}, renamed, sourceKey("c"))
	sync("a delta", "changes ", "f: 2 keys {Added:1 Updated:1 Removed:1}", "a", "c")
	if store.Get("a").Name != "other" {
		t.Error("the update is missing")
	}
	sync("nothing new", "changes ", "f: 2 keys {Added:0 Updated:0 Removed:0}", "a", "c")

	f.cannot = true
	f.give(nil, renamed, sourceKey("c"), sourceKey("d"))
	sync("unknown changes", "changes load ", "f: 3 keys {Added:1 Updated:0 Removed:0}", "a", "c", "d")
	f.cannot = false
	f.change(Delta{Deleted: []string{"d"}}, renamed, sourceKey("c"))
	sync("known changes again", "changes ", "f: 2 keys {Added:0 Updated:0 Removed:1}", "a", "c")

	f.err = errors.New("unavailable")
	sync("a failure", "changes ", "f: failed: unavailable", "a", "c")
	f.err = nil
	f.give(errors.New("still unavailable"), renamed)
	sync("the full load fails, too", "load ", "f: failed: still unavailable", "a", "c")
	f.give(nil, renamed)
	sync("a full load after the failure", "load ", "f: 1 keys {Added:0 Updated:0 Removed:1}", "a")
	sync("a delta again", "changes ", "f: 1 keys {Added:0 Updated:0 Removed:0}", "a")

	if err := s.Sync(t.Context(), "missing"); err == nil || err.Error() != "unknown feed missing" {
		t.Errorf("an unknown feed: %v", err)
	}
}

// A conflicting key is omitted and named in the error, but delays neither the other changes of the same load nor later ones.
// When the conflict is resolved, the key is added.
func TestDeltaFeedConflictDoesNotBlockOthers(t *testing.T) {
	f, g := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}, &fakeFeed{name: "g"}
	f.give(nil, sourceKey("a"), sourceKey("b"))
	g.give(nil, sourceKey("taken"))
	store := NewStore()
	s := NewSyncer(store, []Feed{f, g}, nil)
	if err := s.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = "key taken: the id is also used in feed g\nkey taken: same token as key taken of feed g"
	revoked, other := sourceKey("a"), sourceKey("b")
	revoked.State, other.State = Revoked, Revoked
	f.change(Delta{Upserted: []Key{sourceKey("taken"), revoked}}, sourceKey("taken"), revoked, sourceKey("b"))
	if err := s.Sync(t.Context(), "f"); err == nil || err.Error() != want || store.Get("a").State != Revoked {
		t.Errorf("error %v, key a is %v", err, store.Get("a").State)
	}
	for range 2 {
		f.change(Delta{Upserted: []Key{other}}, sourceKey("taken"), revoked, other)
		if err := s.Sync(t.Context(), "f"); err == nil || err.Error() != want || store.Get("b").State != Revoked {
			t.Errorf("during the conflict: error %v, key b is %v", err, store.Get("b").State)
		}
	}
	if status := s.Status()[0]; status.Keys != 2 || store.Len() != 3 || store.Get("taken").Feed != "g" {
		t.Errorf("status %+v, %d keys", status, store.Len())
	}
	f.expect(t, "at first, and during the conflict", "load changes changes changes ")
	g.give(nil)
	if err := s.Reload(t.Context()); err != nil {
		f.calls = ""
		err = s.Sync(t.Context(), "f") // g is read after f
		f.expect(t, "after the conflict", "changes ")
		if err != nil {
			t.Error(err)
		}
	}
	if k := store.Get("taken"); k == nil || k.Feed != "f" || s.Status()[0].Keys != 3 || s.Status()[0].LastError != "" {
		t.Errorf("key %+v, status %+v", k, s.Status()[0])
	}
	f.calls = ""
	if err := s.Sync(t.Context(), "f"); err != nil {
		t.Error(err)
	}
	f.expect(t, "later", "changes ")
}

// Changes are loaded even if the caller cancels Sync.
func TestCanceledSyncIsDoneByRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}
		f.give(nil, sourceKey("a"))
		store, j := NewStore(), &observerRecorder{}
		s := startSyncer(t, store, j, f)
		f.cannot = true // so that Load is called, after which the context is checked
		f.give(nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Sync(ctx, "f"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		synctest.Wait() // no time passes
		if store.Len() != 0 || s.Status()[0].Failures != 0 {
			t.Errorf("%d keys, status %+v", store.Len(), s.Status()[0])
		}
	})
}

// With concurrent calls of Sync, each caller sees its own change when its call returns.
func TestConcurrentSync(t *testing.T) {
	f := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}
	store := NewStore()
	s := NewSyncer(store, []Feed{f}, nil)
	if err := s.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 100
	done := make(chan error)
	for w := range writers {
		go func() {
			for i := range each {
				k := sourceKey(fmt.Sprintf("key-%d-%d", w, i))
				f.mu.Lock()
				f.delta.Upserted = append(f.delta.Upserted, k)
				f.mu.Unlock()
				if err := s.Sync(t.Context(), "f"); err != nil {
					done <- err
					return
				}
				if store.Get(k.ID) == nil {
					done <- fmt.Errorf("key %s is missing", k.ID)
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if status := s.Status()[0]; status.Keys != writers*each || store.Len() != writers*each {
		t.Errorf("%d keys, status %+v", store.Len(), status)
	}
}

// A conflicting key is retried with its latest state, not with the state that was rejected. A deleted key is not retried.
func TestConflictsAreRetriedWithLatestState(t *testing.T) {
	f, g := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}, &fakeFeed{name: "g"}
	g.give(nil, sourceKey("x"), sourceKey("y"), sourceKey("z"))
	store := NewStore()
	s := NewSyncer(store, []Feed{g, f}, nil)
	if err := s.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectConflicts := func(ids ...string) {
		t.Helper()
		err := s.Sync(t.Context(), "f")
		r, ok := errors.AsType[*ConflictError](err)
		if ok != (len(ids) > 0) || err != nil && !ok {
			t.Fatalf("error %v, want one for %q", err, ids)
		}
		for _, id := range []string{"x", "y", "z", "w"} {
			if ok && r.Has(id) != slices.Contains(ids, id) {
				t.Errorf("key %s: in conflict %v, want those of %q", id, r.Has(id), ids)
			}
		}
	}
	f.change(Delta{Upserted: []Key{sourceKey("w"), sourceKey("x"), sourceKey("y"), sourceKey("z")}})
	expectConflicts("x", "y", "z")
	other := sourceKey("y")
	other.State = Disabled
	f.change(Delta{Upserted: []Key{other}, Deleted: []string{"z"}})
	expectConflicts("x", "y")
	g.give(nil)
	if err := s.Sync(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	expectConflicts()
	if store.Len() != 3 || store.Get("x") == nil || store.Get("y").State != Disabled || store.Get("z") != nil {
		t.Errorf("%d keys, x %v, y %v, z %v", store.Len(), store.Get("x"), store.Get("y"), store.Get("z"))
	}
	f.expect(t, "in total", "load changes changes changes ")
}

// fakeRemote is a Remote that is available whenever a test says so.
type fakeRemote struct{ fakeFeed }

func (*fakeRemote) LastConfirmed() time.Time { return time.Now() }
func (*fakeRemote) MaxStale() time.Duration  { return time.Hour }

// A remote feed with a conflicting key has been read: an unknown token is rejected as unknown, unless it could be the token of
// that key.
func TestRemoteFeedConflictIsNotAnOutage(t *testing.T) {
	sameToken, sameID := sourceKey("other"), sourceKey("g")
	sameToken.Digest, sameID.Digest = sourceKey("g").Digest, DigestOf(tokenOf("own"))
	for name, tc := range map[string]struct {
		conflicting Key
		want        Reason
	}{
		"its token is known":   {conflicting: sameToken, want: UnknownToken},
		"its token is unknown": {conflicting: sameID, want: FeedUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			remote := &fakeRemote{fakeFeed: fakeFeed{name: "remote"}}
			g := &fakeFeed{name: "g"}
			g.give(nil, sourceKey("g"))
			store := NewStore()
			s := NewSyncer(store, []Feed{g, remote}, nil)
			if err := s.LoadAll(t.Context()); err != nil {
				t.Fatal(err)
			}
			v := newVerifier(t, store, CacheConfig{})
			reason := func(want Reason) {
				t.Helper()
				if d := v.Verify(tokenOf("unknown"), time.Now()); d.Reason != want {
					t.Errorf("a token that no key has: %s, want %s", d.Reason, want)
				}
			}
			reason(UnknownToken)
			remote.give(nil, tc.conflicting)
			if err := s.Sync(t.Context(), "remote"); err == nil {
				t.Fatal("no conflict")
			}
			reason(tc.want)
			remote.give(&StaleError{AsOf: time.Now(), Err: errors.New("unavailable")}, tc.conflicting)
			_ = s.Sync(t.Context(), "remote")
			reason(FeedUnavailable)
			remote.give(nil, tc.conflicting)
			_ = s.Sync(t.Context(), "remote")
			reason(tc.want)
			g.give(nil)
			if err := errors.Join(s.Sync(t.Context(), "g"), s.Sync(t.Context(), "remote")); err != nil {
				t.Fatal(err)
			}
			reason(UnknownToken)
		})
	}
}
