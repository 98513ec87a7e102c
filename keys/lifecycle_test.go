package keys

import (
	"testing"
	"time"
)

// oldToken returns a previous token of a key.
func oldToken(id string, until time.Time) PreviousToken {
	return PreviousToken{Digest: DigestOf(tokenOf(id) + "-old"), Until: until}
}

// A previous token is valid until its grace period ends. The status of the key takes precedence, for all its tokens.
func TestVerifyPreviousTokens(t *testing.T) {
	rotated := func(change func(*Key)) Key {
		k := sourceKey("a")
		k.PreviousTokens = []PreviousToken{oldToken("a", noon), {Digest: DigestOf("older"), Until: noon.Add(-time.Hour)}}
		change(&k)
		return k
	}
	before, after := noon.Add(-1), noon
	cases := map[string]struct {
		key        Key
		at         time.Time
		now, older Reason // of the previous token and of the one before it
		current    Reason
	}{
		"in its grace period":            {rotated(func(*Key) {}), before, Allowed, TokenRotated, Allowed},
		"at the end of the grace period": {rotated(func(*Key) {}), after, TokenRotated, TokenRotated, Allowed},
		"long ago":                       {rotated(func(*Key) {}), noon.Add(-2 * time.Hour), Allowed, Allowed, Allowed},
		"disabled":                       {rotated(func(k *Key) { k.State = Disabled }), before, DisabledKey, DisabledKey, DisabledKey},
		"revoked":                        {rotated(func(k *Key) { k.State = Revoked }), after, RevokedKey, RevokedKey, RevokedKey},
		"unusable":                       {rotated(func(k *Key) { k.State, k.Binding = BindingUnavailable, Binding{} }), before, UnusableKey, UnusableKey, UnusableKey},
		"unknown state":                  {rotated(func(k *Key) { k.State = 77 }), before, DisabledKey, DisabledKey, DisabledKey},
		"expired":                        {rotated(func(k *Key) { k.Expires = before }), before, Expired, Expired, Expired},
		"not yet valid":                  {rotated(func(k *Key) { k.NotBefore = after }), before, NotYetValid, NotYetValid, NotYetValid},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, readyStore(t, tc.key, sourceKey("b")), CacheConfig{})
			for range 3 { // from the store, and from the cache
				for token, want := range map[string]Reason{
					tokenOf("a"): tc.current, tokenOf("a") + "-old": tc.now, "older": tc.older,
				} {
					d := v.Verify(token, tc.at)
					if d.Reason != want || d.Key == nil || d.Key.ID != "a" || d.UsedPreviousToken != (token != tokenOf("a")) || d.Allowed() != (want == Allowed) {
						t.Errorf("%s: %q of key %v, old %v; want %q", token, d.Reason, d.Key, d.UsedPreviousToken, want)
					}
				}
				v.settle()
			}
		})
	}
}

// A token with a wrong checksum causes no lookup in the cache or in the store, even if its digest would be found.
func TestBadChecksumCausesNoLookup(t *testing.T) {
	mistyped := knownTokens[0][:39] + "T"
	known, impossible := sourceKey("a"), sourceKey("b")
	known.Digest, impossible.Digest = DigestOf(knownTokens[0]), DigestOf(mistyped)
	v := newVerifier(t, readyStore(t, known, impossible), CacheConfig{})
	for range 3 {
		if d := v.Verify(mistyped, noon); d.Reason != BadChecksum || d.Key != nil || d.Allowed() {
			t.Errorf("decision %q, key %v", d.Reason, d.Key)
		}
		v.settle()
	}
	if got := v.CacheStats(); got != (CacheStats{}) {
		t.Errorf("lookups: %+v", got)
	}
	if d := v.Verify(knownTokens[0], noon); !d.Allowed() || v.CacheStats().Misses != 1 {
		t.Errorf("the correct token: %q, %+v", d.Reason, v.CacheStats())
	}
}

// Only an unusable key may have no binding, and no key may have the same token twice.
func TestKeyCheck(t *testing.T) {
	unusable, twice, twiceOld, zero := sourceKey("a"), sourceKey("a"), sourceKey("a"), sourceKey("a")
	unusable.State, unusable.Binding = BindingUnavailable, Binding{}
	twice.PreviousTokens = []PreviousToken{{Digest: twice.Digest, Until: noon}}
	twiceOld.PreviousTokens = []PreviousToken{oldToken("a", noon), oldToken("a", noon.Add(1))}
	zero.PreviousTokens = []PreviousToken{{Until: noon}}
	cases := map[string]struct {
		key  Key
		want string
	}{
		"unusable, without a binding":           {unusable, ""},
		"previous token equals the current one": {twice, "key a has the same token more than once"},
		"duplicate previous token":              {twiceOld, "key a has the same token more than once"},
		"previous token without a digest":       {zero, "key a has a previous token without a digest"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for method, write := range map[string]func(*Store) error{
				"Replace": func(s *Store) error { _, err := s.Replace("f", []Key{tc.key}); return err },
				"Apply":   func(s *Store) error { _, err := s.Apply("f", Delta{Upserted: []Key{tc.key}}); return err },
			} {
				s := NewStore()
				err := write(s)
				if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
					t.Errorf("%s: error %v, want %q", method, err, tc.want)
				}
				if (s.Get("a") != nil) != (tc.want == "") {
					t.Errorf("%s: stored key is %v", method, s.Get("a"))
				}
			}
		})
	}
}

func TestCountsRevokedAndUnusable(t *testing.T) {
	revoked, unusable := sourceKey("a"), sourceKey("b")
	revoked.State, unusable.State, unusable.Binding = Revoked, BindingUnavailable, Binding{}
	got := readyStore(t, revoked, unusable, sourceKey("c")).Counts(noon)
	if got["revoked"] != 1 || got["unusable"] != 1 || got["active"] != 1 || got["disabled"] != 0 || len(got) != 6 {
		t.Errorf("counts %v", got)
	}
}
