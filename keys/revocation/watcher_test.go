package revocation_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/revocation"
	"github.com/docsgate/docsgate/policy"
)

// holder counts the calls of Revoked.
type holder struct {
	revoked atomic.Int32
	request policy.Request
}

func (h *holder) StillAllowed(key *keys.Key) bool {
	return key.Policy == nil || key.Policy.Check(&h.request) == policy.Allowed
}

func (h *holder) Revoked() { h.revoked.Add(1) }

const token = "token-of-a-test"

func testKey(change func(*keys.Key)) keys.Key {
	k := keys.Key{ID: "a", Digest: keys.DigestOf(token), Binding: keys.Binding{Agent: keys.NewSecret("agent")}}
	if change != nil {
		change(&k)
	}
	return k
}

// replace replaces all keys of the store.
func replace(t *testing.T, store *keys.Store, set ...keys.Key) {
	t.Helper()
	if _, err := store.Replace("test", set); err != nil {
		t.Fatal(err)
	}
}

// environment is a store with one key, and what follows it.
type environment struct {
	store    *keys.Store
	watcher  *revocation.Watcher
	verifier *keys.Verifier
}

func newEnvironment(t *testing.T, key keys.Key) *environment {
	t.Helper()
	e := &environment{store: keys.NewStore()}
	e.watcher = revocation.New()
	e.watcher.Follow(e.store)
	var err error
	if e.verifier, err = keys.NewVerifier(e.store, keys.CacheConfig{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.verifier.Close)
	replace(t, e.store, key)
	e.store.SetReady(true)
	return e
}

// add verifies the token and registers a use.
func (e *environment) add(t *testing.T, u *revocation.Use, h *holder) {
	t.Helper()
	version := revocation.VersionOf(e.store)
	d := e.verifier.Verify(token, time.Now())
	if !d.Allowed() {
		t.Fatalf("the token is not valid: %s", d.Reason)
	}
	if !e.watcher.Add(u, h, d, version) {
		t.Fatal("the use was rejected")
	}
}

// A use ends immediately when its key stops being valid for it, and not because of other changes.
func TestRevoked(t *testing.T) {
	origins := func(text string) *policy.Policy {
		o, err := policy.ParseOrigin(text)
		if err != nil {
			t.Fatal(err)
		}
		return &policy.Policy{Origins: []policy.Origin{o}}
	}
	for name, c := range map[string]struct {
		change  func(*keys.Key) // nil: the key is removed
		revoked int32
	}{
		"removed":                 {nil, 1},
		"disabled":                {func(k *keys.Key) { k.State = keys.Disabled }, 1},
		"revoked":                 {func(k *keys.Key) { k.State = keys.Revoked }, 1},
		"expired":                 {func(k *keys.Key) { k.Expires = time.Now().Add(-time.Second) }, 1},
		"not valid yet":           {func(k *keys.Key) { k.NotBefore = time.Now().Add(time.Hour) }, 1},
		"rotated":                 {func(k *keys.Key) { k.Digest = keys.DigestOf("other") }, 1},
		"policy narrowed":         {func(k *keys.Key) { k.Policy = origins("https://b.example") }, 1},
		"id of another key":       {func(k *keys.Key) { k.ID = "b" }, 1},
		"renamed":                 {func(k *keys.Key) { k.Name = "new" }, 0},
		"expires later":           {func(k *keys.Key) { k.Expires = time.Now().Add(time.Hour) }, 0},
		"policy that still holds": {func(k *keys.Key) { k.Policy = origins("https://a.example") }, 0},
		"rotated with grace period": {func(k *keys.Key) {
			k.PreviousTokens = []keys.PreviousToken{{Digest: k.Digest, Until: time.Now().Add(time.Hour)}}
			k.Digest = keys.DigestOf("other")
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, testKey(nil))
			h := &holder{request: policy.Request{Origin: "https://a.example", Browser: true}}
			var first, second revocation.Use
			e.add(t, &first, h)
			e.add(t, &second, h)
			if c.change == nil {
				replace(t, e.store)
			} else {
				replace(t, e.store, testKey(c.change))
			}
			if n := h.revoked.Load(); n != 2*c.revoked {
				t.Errorf("%d of 2 uses ended, want %d", n, 2*c.revoked)
			}
			e.watcher.Remove(&first)
			e.watcher.Remove(&second)
			e.watcher.Remove(&second)
			if n := e.watcher.Len(); n != 0 {
				t.Errorf("%d uses are left", n)
			}
		})
	}
}

// A change between the decision and Add is not missed.
func TestAddAfterChange(t *testing.T) {
	e := newEnvironment(t, testKey(nil))
	version, d := revocation.VersionOf(e.store), e.verifier.Verify(token, time.Now())
	replace(t, e.store, testKey(func(k *keys.Key) { k.Name = "renamed" }))
	var u revocation.Use
	if !e.watcher.Add(&u, &holder{}, d, version) {
		t.Error("a key that is still valid was rejected")
	}
	e.watcher.Remove(&u)
	replace(t, e.store)
	var late revocation.Use
	if e.watcher.Add(&late, &holder{}, d, version) {
		t.Error("a removed key was accepted")
	}
	if n := e.watcher.Len(); n != 0 {
		t.Errorf("%d uses are left", n)
	}
}

// A use ends at the time bound of its key or of its token; a bound that has moved meanwhile counts.
func TestTimeBounds(t *testing.T) {
	for name, bound := range map[string]func(k *keys.Key, until time.Time){
		"expires": func(k *keys.Key, until time.Time) { k.Expires = until },
		"end of grace period": func(k *keys.Key, until time.Time) {
			k.PreviousTokens = []keys.PreviousToken{{Digest: k.Digest, Until: until}}
			k.Digest = keys.DigestOf("other")
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, testKey(func(k *keys.Key) { bound(k, time.Now().Add(time.Hour)) }))
			var u revocation.Use
			h := &holder{}
			e.add(t, &u, h)
			start := time.Now()
			replace(t, e.store, testKey(func(k *keys.Key) { bound(k, start.Add(50*time.Millisecond)) }))
			for h.revoked.Load() == 0 {
				if time.Since(start) > 10*time.Second {
					t.Fatal("the use did not end")
				}
				time.Sleep(time.Millisecond)
			}
			if time.Since(start) < 50*time.Millisecond {
				t.Error("the use ended too early")
			}
		})
	}
}

// Uses of many keys are added and removed while keys are revoked. Afterwards no use of a revoked key is left, each ended once at most,
// and none of a valid key ended.
func TestConcurrent(t *testing.T) {
	const keyCount, workers, rounds = 20, 8, 300
	set := make([]keys.Key, keyCount)
	for i := range set {
		set[i] = keys.Key{ID: fmt.Sprint(i), Digest: keys.DigestOf(fmt.Sprint("token-", i)), Binding: keys.Binding{Agent: keys.NewSecret("agent")}}
	}
	e := newEnvironment(t, set[0])
	replace(t, e.store, set...)
	var wg sync.WaitGroup
	type held struct {
		holder holder
		use    revocation.Use
		key    int
	}
	kept := make([][]*held, workers)
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				h := &held{key: (w + i) % keyCount}
				version := revocation.VersionOf(e.store)
				d := e.verifier.Verify(fmt.Sprint("token-", h.key), time.Now())
				if !d.Allowed() || !e.watcher.Add(&h.use, &h.holder, d, version) {
					continue
				}
				if i%3 == 0 {
					kept[w] = append(kept[w], h)
				} else {
					e.watcher.Remove(&h.use)
				}
			}
		})
	}
	for i := 0; i < keyCount/2; i++ {
		set[i].State = keys.Revoked
		replace(t, e.store, set...)
	}
	wg.Wait()
	valid := 0
	for _, list := range kept {
		for _, h := range list {
			switch n := h.holder.revoked.Load(); {
			case h.key < keyCount/2 && n != 1:
				t.Fatalf("a use of revoked key %d ended %d times", h.key, n)
			case h.key >= keyCount/2 && n != 0:
				t.Fatalf("a use of valid key %d ended", h.key)
			case n == 0:
				valid++
			}
		}
	}
	if n := e.watcher.Len(); n != valid {
		t.Errorf("%d uses in the table, want %d", n, valid)
	}
}

// A use follows the store of a new configuration: it ends if its key is not valid there.
func TestFollow(t *testing.T) {
	for name, c := range map[string]struct {
		set     []keys.Key
		revoked int32
	}{
		"with the key":    {[]keys.Key{testKey(nil)}, 0},
		"without the key": {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, testKey(nil))
			var u, late revocation.Use
			h := &holder{}
			e.add(t, &u, h)
			version, d := revocation.VersionOf(e.store), e.verifier.Verify(token, time.Now())
			next := keys.NewStore()
			replace(t, next, c.set...)
			e.watcher.Follow(next)
			if n := h.revoked.Load(); n != c.revoked {
				t.Errorf("Revoked was called %d times, want %d", n, c.revoked)
			}
			// A request of the old configuration, which has decided with the old keys.
			if allowed := e.watcher.Add(&late, h, d, version); allowed != (c.revoked == 0) {
				t.Errorf("a use that was decided with the old keys: %v", allowed)
			}
			// The old store no longer counts.
			replace(t, e.store)
			if n := h.revoked.Load(); n != c.revoked {
				t.Errorf("Revoked was called %d times after a change of the old store, want %d", n, c.revoked)
			}
		})
	}
}

// Caddy starts apps in no defined order, so requests may arrive before their store is followed: their keys are valid until then, and are
// checked when it is.
func TestAddBeforeFollow(t *testing.T) {
	other := keys.NewStore()
	for name, followed := range map[string]*keys.Store{"no store": nil, "an older store without the key": other} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, testKey(nil))
			e.watcher = revocation.New()
			if followed != nil {
				e.watcher.Follow(followed)
			}
			var kept, ended, stale revocation.Use
			var keptBy, endedBy, staleBy holder
			e.add(t, &kept, &keptBy)
			e.watcher.Follow(e.store)
			if keptBy.revoked.Load() != 0 {
				t.Error("the use of a valid key has ended")
			}
			e.watcher.Remove(&kept)

			e.watcher = revocation.New()
			if followed != nil {
				e.watcher.Follow(followed)
			}
			e.add(t, &ended, &endedBy)
			version := revocation.VersionOf(e.store)
			d := e.verifier.Verify(token, time.Now())
			replace(t, e.store)
			if e.watcher.Add(&stale, &staleBy, d, version) {
				t.Error("a use of a key that was removed meanwhile was accepted")
			}
			e.watcher.Follow(e.store)
			if endedBy.revoked.Load() != 1 {
				t.Error("the use of a removed key goes on")
			}
		})
	}

	// A request of a configuration that was replaced meanwhile: the newer keys count.
	e := newEnvironment(t, testKey(nil))
	version := revocation.VersionOf(e.store)
	d := e.verifier.Verify(token, time.Now())
	e.watcher.Follow(keys.NewStore())
	var u revocation.Use
	if e.watcher.Add(&u, new(holder), d, version) {
		t.Error("a key that the newest configuration does not have was accepted")
	}
}

// Registering a use of a key without time bounds does not allocate memory.
func TestAddDoesNotAllocate(t *testing.T) {
	e := newEnvironment(t, testKey(nil))
	h, version := &holder{}, revocation.VersionOf(e.store)
	d := e.verifier.Verify(token, time.Now())
	var u, other revocation.Use
	e.watcher.Add(&other, h, d, version) // so that the map has the key
	if n := testing.AllocsPerRun(100, func() {
		e.watcher.Add(&u, h, d, version)
		e.watcher.Remove(&u)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUse(b *testing.B) {
	store := keys.NewStore()
	w := revocation.New()
	w.Follow(store)
	if _, err := store.Replace("test", []keys.Key{testKey(nil)}); err != nil {
		b.Fatal(err)
	}
	store.SetReady(true)
	h, d, version := &holder{}, keys.Decision{Key: store.Get("a"), Token: keys.DigestOf(token), Reason: keys.Allowed}, revocation.VersionOf(store)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var u revocation.Use
		for pb.Next() {
			w.Add(&u, h, d, version)
			w.Remove(&u)
		}
	})
}
