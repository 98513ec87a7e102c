package keys

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/docsgate/docsgate/internal/alloctest"
	"github.com/docsgate/docsgate/policy"
)

func TestVerifyDecides(t *testing.T) {
	disabled, future, past, bounded := sourceKey("disabled"), sourceKey("future"), sourceKey("past"), sourceKey("bounded")
	disabled.State = Disabled
	future.NotBefore = noon.Add(1)
	past.Expires = noon
	bounded.NotBefore, bounded.Expires = noon, noon.Add(1)
	longest := strings.Repeat("x", 512)
	long := sourceKey("long")
	long.Digest = DigestOf(longest)
	store := readyStore(t, sourceKey("good"), disabled, future, past, bounded, long)

	cases := map[string]struct {
		token string
		want  Reason
		key   string
	}{
		"a good token":             {tokenOf("good"), Allowed, "good"},
		"within bounds, just":      {tokenOf("bounded"), Allowed, "bounded"},
		"the longest token":        {longest, Allowed, "long"},
		"disabled":                 {tokenOf("disabled"), DisabledKey, "disabled"},
		"not yet valid":            {tokenOf("future"), NotYetValid, "future"},
		"expired this moment":      {tokenOf("past"), Expired, "past"},
		"unknown":                  {"dgk_unknown", UnknownToken, ""},
		"another letter case":      {strings.ToUpper(tokenOf("good")), UnknownToken, ""},
		"an id":                    {"good", UnknownToken, ""},
		"a digest":                 {DigestOf(tokenOf("good")).Hex(), UnknownToken, ""},
		"no token":                 {"", NoToken, ""},
		"too long":                 {longest + "x", Malformed, ""},
		"with a space":             {" " + tokenOf("good"), Malformed, ""},
		"with a newline":           {tokenOf("good") + "\n", Malformed, ""},
		"with a zero byte":         {tokenOf("good") + "\x00", Malformed, ""},
		"with a DEL":               {"\x7f", Malformed, ""},
		"not ASCII":                {"clé", Malformed, ""},
		"full-width lookalike":     {"ｇood", Malformed, ""},
		"lowest and highest bytes": {"!~", UnknownToken, ""},
	}
	v := newVerifier(t, store, CacheConfig{})
	closed := newVerifier(t, store, CacheConfig{})
	closed.Close()
	closed.Close() // a second call is harmless
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for range 4 { // from the store, and from the cache
				for _, v := range []*Verifier{v, closed} {
					d := v.Verify(tc.token, noon)
					if d.Reason != tc.want || d.Allowed() != (tc.want == Allowed) {
						t.Errorf("decision %q, want %q", d.Reason, tc.want)
					}
					if (d.Key == nil) != (tc.key == "") || d.Key != nil && d.Key.ID != tc.key {
						t.Errorf("key %v, want %q", d.Key, tc.key)
					}
				}
				v.settle()
			}
		})
	}
}

func TestZeroDecisionAllowsNothing(t *testing.T) {
	if (Decision{}).Allowed() || (Decision{Reason: Allowed}).Allowed() {
		t.Error("a decision without a key allows")
	}
}

// Until the store is ready, no token is decided on, not even a known one.
func TestVerifyBeforeStoreIsReady(t *testing.T) {
	store := NewStore()
	mustReplace(t, store, "f", sourceKey("a"))
	v := newVerifier(t, store, CacheConfig{})
	for _, token := range []string{tokenOf("a"), "unknown", "", "not a token"} {
		if d := v.Verify(token, noon); d.Reason != NotReady || d.Key != nil {
			t.Errorf("%q: %q", token, d.Reason)
		}
	}
	store.SetReady(true)
	if d := v.Verify(tokenOf("a"), noon); !d.Allowed() {
		t.Errorf("once ready: %q", d.Reason)
	}
}

// Time bounds are checked on every call, even if the key comes from the cache.
func TestVerifyChecksTimeOfCachedKeys(t *testing.T) {
	k := sourceKey("a")
	k.NotBefore, k.Expires = noon, noon.Add(time.Hour)
	v := newVerifier(t, readyStore(t, k), CacheConfig{})
	for _, step := range []struct {
		at   time.Time
		want Reason
	}{
		{noon, Allowed}, {noon.Add(time.Hour), Expired}, {noon.Add(-1), NotYetValid}, {noon.Add(time.Hour - 1), Allowed},
	} {
		if d := v.Verify(tokenOf("a"), step.at); d.Reason != step.want {
			t.Errorf("at %v: %q, want %q", step.at, d.Reason, step.want)
		}
		v.settle()
	}
	if s := v.CacheStats(); s.Hits != 3 {
		t.Errorf("the key did not come from the cache: %+v", s)
	}
}

func TestCacheStats(t *testing.T) {
	v := newVerifier(t, readyStore(t, sourceKey("a")), CacheConfig{})
	for range 4 {
		for _, token := range []string{tokenOf("a"), "unknown", "", "not a token"} {
			v.Verify(token, noon)
			v.settle()
		}
	}
	// A key is cached at its first lookup, an unknown token at its second.
	if got, want := v.CacheStats(), (CacheStats{Hits: 3, NegativeHits: 2, Misses: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestNewVerifierRejectsNegativeSizes(t *testing.T) {
	for _, c := range []CacheConfig{{Entries: -1}, {NegativeEntries: -1}} {
		if _, err := NewVerifier(NewStore(), c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// Cached entries are invalid as soon as the store changes: each step is visible to the next call.
func TestReplaceTakesEffectImmediately(t *testing.T) {
	store := readyStore(t)
	v := newVerifier(t, store, CacheConfig{})
	a := sourceKey("a")
	disabled, rebound, other := a, a, sourceKey("b")
	disabled.State = Disabled
	rebound.Binding = Binding{Agent: NewSecret("upstream")}
	other.Digest = a.Digest // the token moves to another key
	steps := []struct {
		name string
		set  []Key
		want Reason
	}{
		{"no key", nil, UnknownToken},
		{"added", []Key{a}, Allowed},
		{"disabled", []Key{disabled}, DisabledKey},
		{"enabled", []Key{a}, Allowed},
		{"bound to something else", []Key{rebound}, Allowed},
		{"the token of another key", []Key{other}, Allowed},
		{"removed", nil, UnknownToken},
		{"back", []Key{a}, Allowed},
		{"next to another key", []Key{a, sourceKey("c")}, Allowed},
	}
	for _, step := range steps {
		mustReplace(t, store, "test", step.set...)
		for range 3 {
			d := v.Verify(tokenOf("a"), noon)
			if d.Reason != step.want {
				t.Errorf("%s: %q, want %q", step.name, d.Reason, step.want)
			}
			if len(step.set) > 0 && (d.Key == nil || d.Key.ID != step.set[0].ID || !d.Key.equal(store.Get(step.set[0].ID))) {
				t.Errorf("%s: decided on key %v", step.name, d.Key)
			}
			v.settle()
		}
	}
}

// Once Replace has returned, no decision uses the old keys, regardless of concurrent calls of Verify and of what they cache.
func TestReplaceDuringConcurrentVerify(t *testing.T) {
	const keyCount, rounds = 8, 200
	store := readyStore(t)
	v := newVerifier(t, store, CacheConfig{})
	// The name of each key is the round in which it was written; in odd rounds the key is missing. published is the last round
	// whose Replace has returned.
	var published atomic.Int64
	publish := func(round int64) {
		var set []Key
		if round%2 == 0 {
			set = sourceKeys(keyCount)
			for i := range set {
				set[i].Name = fmt.Sprint(round)
			}
		}
		mustReplace(t, store, "test", set...)
		published.Store(round)
	}
	publish(0)

	tokens := make([]string, keyCount)
	for i, k := range sourceKeys(keyCount) {
		tokens[i] = tokenOf(k.ID)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				before := published.Load()
				d := v.Verify(tokens[i%keyCount], noon)
				after := published.Load()
				if d.Allowed() {
					var round int64
					if _, err := fmt.Sscan(d.Key.Name, &round); err != nil || round < before || round > after+1 {
						t.Errorf("allowed by round %s between rounds %d and %d", d.Key.Name, before, after)
						return
					}
				} else if before == after && before%2 == 0 && !inProgress(store, d, tokens[i%keyCount], before, &published) {
					t.Errorf("rejected (%s) in round %d", d.Reason, before)
					return
				}
			}
		})
	}
	for round := int64(1); round <= rounds; round++ {
		publish(round)
		// The goroutine that made the change must see it immediately.
		for i, token := range tokens {
			d := v.Verify(token, noon)
			if want := round%2 == 0; d.Allowed() != want || want && d.Key.Name != fmt.Sprint(round) {
				t.Fatalf("round %d, key %d: %q, key %v", round, i, d.Reason, d.Key)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// inProgress reports whether a rejection is explained by the next round, which was applied but not yet published when the
// decision was made: then it is published eventually.
func inProgress(store *Store, d Decision, token string, round int64, published *atomic.Int64) bool {
	if d.Reason != UnknownToken {
		return false
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if published.Load() > round {
			return true
		}
	}
	return store.Lookup(DigestOf(token)) == nil
}

// An unknown token that is looked up while its key is added is not cached as unknown.
func TestNegativeEntryIsTiedToRevision(t *testing.T) {
	store := readyStore(t)
	v := newVerifier(t, store, CacheConfig{})
	d := DigestOf(tokenOf("a"))
	c := v.cache.Load()
	revision := store.Revision()
	if store.Lookup(d) != nil {
		t.Fatal("found too early")
	}
	mustReplace(t, store, "test", sourceKey("a")) // between the lookup and put
	c.put(&d, nil, revision)
	c.put(&d, nil, revision)
	v.settle()
	if got := v.Verify(tokenOf("a"), noon); !got.Allowed() {
		t.Errorf("decision %q", got.Reason)
	}
	if v.CacheStats().NegativeHits != 0 {
		t.Error("the outdated negative entry was used")
	}
}

// A record that is removed between its lookup and its insertion into the cache is not used.
func TestRetiredRecordIsNotUsed(t *testing.T) {
	store := readyStore(t, sourceKey("a"))
	v := newVerifier(t, store, CacheConfig{})
	d := DigestOf(tokenOf("a"))
	rec := store.byDigest(store.db.Txn(false), &d)
	mustReplace(t, store, "test")
	v.cache.Load().put(&d, rec, store.Revision())
	v.settle()
	if got := v.Verify(tokenOf("a"), noon); got.Reason != UnknownToken {
		t.Errorf("decision %q", got.Reason)
	}
}

// A record that was removed does not stay in memory until the cache evicts its entry, even if its token is not used again.
func TestCacheKeepsNoRemovedRecords(t *testing.T) {
	store := readyStore(t, sourceKey("a"), visitorKey(t, "b", policy.VisitorsOptional))
	v := newVerifier(t, store, CacheConfig{})
	signed := signedToken(t, "b", noon)
	for range 2 {
		if !v.Verify(tokenOf("a"), noon).Allowed() || !v.Verify(signed, noon).Allowed() {
			t.Fatal("a token is rejected")
		}
		v.settle()
		v.settleSigned()
	}
	stored := func(id string) weak.Pointer[record] { return weak.Make(store.byID(store.db.Txn(false), id)) }
	removed := []weak.Pointer[record]{stored("a"), stored("b")}
	mustReplace(t, store, "test", sourceKey("c"))
	runtime.GC()
	for i, rec := range removed {
		if rec.Value() != nil {
			t.Errorf("record %d is still in memory", i)
		}
	}
	runtime.KeepAlive(v)
}

// Two tokens whose digests have the same cache key are distinguished.
func TestCacheComparesTheWholeDigest(t *testing.T) {
	known := sourceKey("a")
	twin := known.Digest
	twin[31] ^= 1
	store := readyStore(t, known)
	v := newVerifier(t, store, CacheConfig{})
	for range 3 {
		if rec := v.find(&known.Digest); rec == nil || rec.ID != "a" {
			t.Error("the key is not found")
		}
		v.settle()
		if v.find(&twin) != nil {
			t.Error("the twin is confused with the key")
		}
		v.settle()
	}
	// The twin is cached as unknown; the key is not in the cache.
	fresh := newVerifier(t, store, CacheConfig{})
	for range 3 {
		fresh.find(&twin)
		fresh.settle()
	}
	if fresh.CacheStats().NegativeHits == 0 {
		t.Fatal("the twin is not cached")
	}
	if rec := fresh.find(&known.Digest); rec == nil {
		t.Error("the key is confused with its unknown twin")
	}
	// Both exist: they alternate in the cache, and each lookup returns the right one.
	other := sourceKey("b")
	other.Digest = twin
	mustReplace(t, store, "test", known, other)
	for range 3 {
		for id, d := range map[string]*Digest{"a": &known.Digest, "b": &twin} {
			if rec := v.find(d); rec == nil || rec.ID != id {
				t.Errorf("found %v, want %s", rec, id)
			}
			v.settle()
		}
	}
}

// A flood of unknown tokens does not evict keys.
func TestUnknownTokensDoNotEvictKeys(t *testing.T) {
	v := newVerifier(t, readyStore(t, sourceKey("a")), CacheConfig{Entries: 16, NegativeEntries: 16})
	v.Verify(tokenOf("a"), noon)
	v.settle()
	for i := range 1000 {
		v.Verify(fmt.Sprintf("garbage-%d", i%500), noon)
	}
	v.settle()
	hits := v.CacheStats().Hits
	v.Verify(tokenOf("a"), noon)
	if v.CacheStats().Hits != hits+1 {
		t.Error("the key is no longer in the cache")
	}
}

func TestCachedVerifyDoesNotAllocate(t *testing.T) {
	v := newVerifier(t, readyStore(t, sourceKey("a")), CacheConfig{})
	long := strings.Repeat("u", 60)
	for _, token := range []string{tokenOf("a"), long, "", "not a token"} {
		for range 2 {
			v.Verify(token, noon)
			v.settle()
		}
		if n := alloctest.MinAllocs(1000, func() { v.Verify(token, noon) }); n > allowedAllocs {
			t.Errorf("%q: %v allocations", token, n)
		}
	}
	if s := v.CacheStats(); s.Misses != 3 {
		t.Errorf("the cache was not used: %+v", s)
	}
}

// Close during concurrent calls of Verify is harmless: they continue without the cache. Close also releases the contents of the
// cache.
func TestCloseDuringConcurrentVerify(t *testing.T) {
	store := readyStore(t, sourceKeys(100)...)
	for range 40 {
		v, err := NewVerifier(store, CacheConfig{Entries: 50, NegativeEntries: 10})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var calls atomic.Int64
		for worker := range 4 {
			wg.Go(func() {
				for i := range 200 {
					id := fmt.Sprintf("key-%07d", (i+worker)%100)
					if d := v.Verify(tokenOf(id), noon); !d.Allowed() || d.Key.ID != id {
						t.Errorf("%s: %q", id, d.Reason)
					}
					if d := v.Verify("unknown", noon); d.Reason != UnknownToken {
						t.Errorf("unknown: %q", d.Reason)
					}
					if calls.Add(1) == 200 {
						v.Close()
						runtime.GC() // the cache may be cleaned up as soon as no call uses it
					}
				}
			})
		}
		wg.Wait()
		v.Close()
		before := v.CacheStats()
		if d := v.Verify(tokenOf("key-0000001"), noon); !d.Allowed() {
			t.Errorf("after Close: %q", d.Reason)
		}
		if v.CacheStats() != before {
			t.Error("the cache is used after Close")
		}
	}
	waitForRistrettoToEnd(t)
}

// waitForRistrettoToEnd waits until the goroutines of all caches have ended. No verifier is still open in this test.
func waitForRistrettoToEnd(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	stacks := make([]byte, 1<<20)
	for {
		runtime.GC()
		left := strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "ristretto/v2.(*Cache")
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines of closed caches are still running", left)
		}
		runtime.Gosched()
	}
}
