package keys

import "testing"

// guard is a LookupGuard that counts its calls.
type guard struct {
	allow bool
	calls int
}

func (g *guard) AllowLookup() bool {
	g.calls++
	return g.allow
}

func TestVerifyGuarded(t *testing.T) {
	v := newVerifier(t, readyStore(t, sourceKey("cached"), sourceKey("other")), CacheConfig{})
	v.Verify(tokenOf("cached"), noon)
	v.settle()
	reject := new(guard)
	for token, want := range map[string]Reason{
		tokenOf("cached"): Allowed, tokenOf("other"): LookupRejected, "unknown-token": LookupRejected, "": NoToken, "\n": Malformed,
	} {
		misses := v.CacheStats().Misses
		if d := v.VerifyGuarded(token, noon, reject); d.Reason != want || d.Key != nil && want != Allowed {
			t.Errorf("%q: %s, want %s", token, d.Reason, want)
		}
		if v.CacheStats().Misses != misses {
			t.Errorf("%q was looked up", token)
		}
	}
	if reject.calls != 2 {
		t.Errorf("the guard was called %d times", reject.calls)
	}
	if d := v.VerifyGuarded(tokenOf("other"), noon, &guard{allow: true}); !d.Allowed() {
		t.Errorf("an allowed lookup: %s", d.Reason)
	}
	v.Close()
	for token, want := range map[string]Reason{tokenOf("cached"): LookupRejected, "unknown-token": LookupRejected} {
		if d := v.VerifyGuarded(token, noon, reject); d.Reason != want {
			t.Errorf("without a cache, %q: %s, want %s", token, d.Reason, want)
		}
	}
}
