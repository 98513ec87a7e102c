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

// fakeTracker is a feed that knows what a test says has changed in it.
type fakeTracker struct {
	fakeFeed

	delta  Delta
	cannot bool  // it cannot tell what has changed
	err    error // of Changes
	calls  string
}

func (f *fakeTracker) Load(ctx context.Context) ([]Key, error) {
	f.note("load ")
	return f.fakeFeed.Load(ctx)
}

func (f *fakeTracker) Changes(context.Context) (Delta, bool, error) {
	f.note("changes ")
	f.mu.Lock()
	defer f.mu.Unlock()
	delta := f.delta
	f.delta = Delta{}
	return delta, !f.cannot, f.err
}

func (f *fakeTracker) note(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls += call
}

// change sets what the next call of Changes tells, and what Load gives from now on.
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

// A feed that can tell what has changed is read as a whole only at first, after a failure, and when it cannot tell; the
// number of its keys is right all the while.
func TestSyncOfATracker(t *testing.T) {
	f := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}
	f.give(nil, sourceKey("a"), sourceKey("b"))
	store, j := NewStore(), &journal{}
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

	f.change(Delta{Put: []Key{renamed, sourceKey("c")}, Gone: []string{"b"}}, renamed, sourceKey("c"))
	sync("a delta", "changes ", "f: 2 keys {Added:1 Updated:1 Removed:1}", "a", "c")
	if store.Get("a").Name != "other" {
		t.Error("the update is missing")
	}
	sync("nothing new", "changes ", "f: 2 keys {Added:0 Updated:0 Removed:0}", "a", "c")

	f.cannot = true
	f.give(nil, renamed, sourceKey("c"), sourceKey("d"))
	sync("it cannot tell", "changes load ", "f: 3 keys {Added:1 Updated:0 Removed:0}", "a", "c", "d")
	f.cannot = false
	f.change(Delta{Gone: []string{"d"}}, renamed, sourceKey("c"))
	sync("it can again", "changes ", "f: 2 keys {Added:0 Updated:0 Removed:1}", "a", "c")

	f.err = errors.New("away")
	sync("a failure", "changes ", "f: failed: away", "a", "c")
	f.err = nil
	f.give(errors.New("still away"), renamed)
	sync("the whole fails, too", "load ", "f: failed: still away", "a", "c")
	f.give(nil, renamed)
	sync("the whole, after it", "load ", "f: 1 keys {Added:0 Updated:0 Removed:1}", "a")
	sync("and then deltas", "changes ", "f: 1 keys {Added:0 Updated:0 Removed:0}", "a")

	if err := s.Sync(t.Context(), "nobody"); err == nil || err.Error() != "there is no feed nobody" {
		t.Errorf("a feed that is not there: %v", err)
	}
}

// A key in conflict is left out, is named in the error, and holds nothing else up: neither what came with it nor what
// comes while the conflict lasts. When that ends the key is there.
func TestConflictOfATrackerHoldsNothingUp(t *testing.T) {
	f, g := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}, &fakeFeed{name: "g"}
	f.give(nil, sourceKey("a"), sourceKey("b"))
	g.give(nil, sourceKey("taken"))
	store := NewStore()
	s := NewSyncer(store, []Feed{f, g}, nil)
	if err := s.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = "key taken: the id is used in feed g, too\nkey taken: same token as key taken of feed g"
	revoked, other := sourceKey("a"), sourceKey("b")
	revoked.State, other.State = Revoked, Revoked
	f.change(Delta{Put: []Key{sourceKey("taken"), revoked}}, sourceKey("taken"), revoked, sourceKey("b"))
	if err := s.Sync(t.Context(), "f"); err == nil || err.Error() != want || store.Get("a").State != Revoked {
		t.Errorf("error %v, key a is %v", err, store.Get("a").State)
	}
	for range 2 {
		f.change(Delta{Put: []Key{other}}, sourceKey("taken"), revoked, other)
		if err := s.Sync(t.Context(), "f"); err == nil || err.Error() != want || store.Get("b").State != Revoked {
			t.Errorf("in the conflict: error %v, key b is %v", err, store.Get("b").State)
		}
	}
	if status := s.Status()[0]; status.Keys != 2 || store.Len() != 3 || store.Get("taken").Feed != "g" {
		t.Errorf("status %+v, %d keys", status, store.Len())
	}
	f.expect(t, "at first, and in the conflict", "load changes changes changes ")
	g.give(nil)
	if err := s.Reload(t.Context()); err != nil {
		f.calls = ""
		err = s.Sync(t.Context(), "f") // g is read after f
		f.expect(t, "once the conflict has ended", "changes ")
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
	f.expect(t, "after it", "changes ")
}

// What a caller asks for and does not wait for is done all the same.
func TestSyncThatIsGivenUpIsDoneLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}
		f.give(nil, sourceKey("a"))
		store, j := NewStore(), &journal{}
		s := running(t, store, j, f)
		f.cannot = true // so that it is loaded, which looks at the context
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

// Many at once may ask for it: each sees its own change when its call returns.
func TestSyncWhileOthersSync(t *testing.T) {
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
				f.delta.Put = append(f.delta.Put, k)
				f.mu.Unlock()
				if err := s.Sync(t.Context(), "f"); err != nil {
					done <- err
					return
				}
				if store.Get(k.ID) == nil {
					done <- fmt.Errorf("key %s is not there", k.ID)
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

// A key in conflict is tried again as it was last told of, not as it was refused; and one that is gone is not.
func TestRefusedKeysAreTriedAgainAsTheyAre(t *testing.T) {
	f, g := &fakeTracker{fakeFeed: fakeFeed{name: "f"}}, &fakeFeed{name: "g"}
	g.give(nil, sourceKey("x"), sourceKey("y"), sourceKey("z"))
	store := NewStore()
	s := NewSyncer(store, []Feed{g, f}, nil)
	if err := s.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := func(ids ...string) {
		t.Helper()
		err := s.Sync(t.Context(), "f")
		r, ok := errors.AsType[*Refused](err)
		if ok != (len(ids) > 0) || err != nil && !ok {
			t.Fatalf("error %v, want one for %q", err, ids)
		}
		for _, id := range []string{"x", "y", "z", "w"} {
			if ok && r.Has(id) != slices.Contains(ids, id) {
				t.Errorf("key %s: refused %v, want those of %q", id, r.Has(id), ids)
			}
		}
	}
	f.change(Delta{Put: []Key{sourceKey("w"), sourceKey("x"), sourceKey("y"), sourceKey("z")}})
	refused("x", "y", "z")
	other := sourceKey("y")
	other.State = Disabled
	f.change(Delta{Put: []Key{other}, Gone: []string{"z"}})
	refused("x", "y")
	g.give(nil)
	if err := s.Sync(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	refused()
	if store.Len() != 3 || store.Get("x") == nil || store.Get("y").State != Disabled || store.Get("z") != nil {
		t.Errorf("%d keys, x %v, y %v, z %v", store.Len(), store.Get("x"), store.Get("y"), store.Get("z"))
	}
	f.expect(t, "all the while", "load changes changes changes ")
}

// fakeRemote is a feed of another system that is there whenever a test says so.
type fakeRemote struct{ fakeFeed }

func (*fakeRemote) Fresh() time.Time        { return time.Now() }
func (*fakeRemote) Patience() time.Duration { return time.Hour }

// A remote feed of which one key is in conflict with another feed's has been read: what nobody knows is unknown, unless it
// could be that key's.
func TestConflictOfARemoteFeedIsNoAbsence(t *testing.T) {
	sameToken, sameID := sourceKey("other"), sourceKey("g")
	sameToken.Digest, sameID.Digest = sourceKey("g").Digest, DigestOf(tokenOf("own"))
	for name, tc := range map[string]struct {
		refused Key
		want    Reason
	}{
		"its token is known":            {refused: sameToken, want: Unknown},
		"its token is another's to say": {refused: sameID, want: FeedAway},
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
				if d := v.Verify(tokenOf("nobody"), time.Now()); d.Reason != want {
					t.Errorf("a token that no key has: %s, want %s", d.Reason, want)
				}
			}
			reason(Unknown)
			remote.give(nil, tc.refused)
			if err := s.Sync(t.Context(), "remote"); err == nil {
				t.Fatal("there is no conflict")
			}
			reason(tc.want)
			remote.give(&Stale{At: time.Now(), Err: errors.New("away")}, tc.refused)
			_ = s.Sync(t.Context(), "remote")
			reason(FeedAway)
			remote.give(nil, tc.refused)
			_ = s.Sync(t.Context(), "remote")
			reason(tc.want)
			g.give(nil)
			if err := errors.Join(s.Sync(t.Context(), "g"), s.Sync(t.Context(), "remote")); err != nil {
				t.Fatal(err)
			}
			reason(Unknown)
		})
	}
}
