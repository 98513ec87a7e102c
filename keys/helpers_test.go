package keys

import (
	"fmt"
	"testing"
	"time"
)

// noon is the current time of all tests that need one.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const sourceID = "7d0c0f36-6a0e-4a5e-9a39-0d2f5f9e7f11"

// tokenOf returns the token of the key with this ID, which is unique.
func tokenOf(id string) string { return "dgk_token-of-" + id }

// sourceKey returns an active key bound to a source.
func sourceKey(id string) Key {
	return Key{ID: id, Name: "Key " + id, Binding: Binding{Sources: []string{sourceID}}, Digest: DigestOf(tokenOf(id))}
}

// sourceKeys returns n keys.
func sourceKeys(n int) []Key {
	set := make([]Key, n)
	for i := range set {
		set[i] = sourceKey(fmt.Sprintf("key-%07d", i))
	}
	return set
}

func mustReplace(t testing.TB, s *Store, feed string, set ...Key) Change {
	t.Helper()
	c, err := s.Replace(feed, set)
	if err != nil {
		t.Fatalf("Replace: %v", err)
	}
	return c
}

// readyStore returns a ready store with these keys in the feed "test".
func readyStore(t testing.TB, set ...Key) *Store {
	t.Helper()
	s := NewStore()
	mustReplace(t, s, "test", set...)
	s.SetReady(true)
	return s
}

func newVerifier(t testing.TB, s *Store, c CacheConfig) *Verifier {
	t.Helper()
	v, err := NewVerifier(s, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// settle waits until the cache has processed all its writes.
func (v *Verifier) settle() {
	if c := v.cache.Load(); c != nil {
		c.known.Wait()
		c.unknown.Wait()
	}
}

// find is lookup without a guard.
func (v *Verifier) find(d *Digest) *record {
	rec, _ := v.lookup(d, nil)
	return rec
}
