package keys

import (
	"testing"

	"github.com/docsgate/docsgate/policy"
)

// overriddenStore is a store whose overrides are in a map.
func overriddenStore(t *testing.T, set ...Key) (*Store, *Verifier, map[string]*Override) {
	t.Helper()
	s, overrides := NewStore(), map[string]*Override{}
	s.SetOverrides("own", func(id string) *Override { return overrides[id] })
	mustReplace(t, s, "docsgpt", set...)
	s.SetReady(true)
	return s, newVerifier(t, s, CacheConfig{}), overrides
}

// A changed override takes effect on the next decision, also on a cached one.
func TestApplyOverride(t *testing.T) {
	s, v, overrides := overriddenStore(t, sourceKey("a"), sourceKey("b"))
	var listener lastChange
	s.Listen(&listener)
	decide := func(id string) Decision {
		t.Helper()
		d := v.Verify(tokenOf(id), noon)
		v.settle()
		return d
	}
	restricted := &policy.Policy{Endpoints: []string{"widget"}}
	for range 2 {
		if decide("a").Reason != Allowed {
			t.Fatal("the key is not valid before")
		}
		overrides["a"] = &Override{Disabled: true, Policy: restricted}
		s.ApplyOverride("a")
		if d := decide("a"); d.Reason != DisabledKey || d.Key.Policy != restricted || listener.in[0].State != Disabled {
			t.Errorf("decision %q, policy %v", d.Reason, d.Key.Policy)
		}
		overrides["a"] = &Override{Policy: restricted}
		s.ApplyOverride("a")
		if d := decide("a"); d.Reason != Allowed || d.Key.Policy != restricted {
			t.Errorf("decision %q, policy %v", d.Reason, d.Key.Policy)
		}
		if k := s.Original("a"); k.Policy != nil {
			t.Errorf("the original has the policy %v", k.Policy)
		}
		if d := decide("b"); d.Reason != Allowed || d.Key.Policy != nil {
			t.Errorf("another key: %q, %v", d.Reason, d.Key.Policy)
		}
		delete(overrides, "a")
		s.ApplyOverride("a")
		if d := decide("a"); d.Reason != Allowed || d.Key.Policy != nil || len(s.originals) != 0 {
			t.Errorf("without the override: %q, %v, %d originals", d.Reason, d.Key.Policy, len(s.originals))
		}
	}
	s.ApplyOverride("missing")
}

type lastChange struct{ in []*Key }

func (l *lastChange) KeysChanged(_, in []*Key) { l.in = in }

// An override applies to whatever the feed has loaded, in both ways of loading, and to a key that comes back.
func TestOverrideOfLoadedKeys(t *testing.T) {
	s, v, overrides := overriddenStore(t)
	overrides["a"] = &Override{Disabled: true}
	for name, load := range map[string]func(k Key) (Change, error){
		"replace": func(k Key) (Change, error) { return s.Replace("docsgpt", []Key{k}) },
		"delta":   func(k Key) (Change, error) { return s.Apply("docsgpt", Delta{Upserted: []Key{k}}) },
	} {
		for i, wantUpdates := range []int{0, 1, 0} {
			k := sourceKey("a")
			if i > 0 {
				k.Name = "renamed"
			}
			c, err := load(k)
			if err != nil || c.Updated != wantUpdates || v.Verify(tokenOf("a"), noon).Reason != DisabledKey {
				t.Errorf("%s %d: %+v, %v, %q", name, i, c, err, v.Verify(tokenOf("a"), noon).Reason)
			}
			if o := s.Original("a"); o.State != Active || o.Name != k.Name {
				t.Errorf("%s %d: original %+v", name, i, o)
			}
		}
		if s.Remove("docsgpt"); len(s.originals) != 0 || s.Original("a") != nil {
			t.Errorf("%s: an original stays after its key", name)
		}
	}
	mustReplace(t, s, "own", sourceKey("a"))
	if d := v.Verify(tokenOf("a"), noon); d.Reason != Allowed {
		t.Errorf("a key of the excepted feed: %q", d.Reason)
	}
}

// An override cannot make a key valid, and origins of which none is left make it invalid.
func TestOverrideOfInvalidKeys(t *testing.T) {
	origins := func(text string) *policy.Policy {
		o, err := policy.ParseOrigin(text)
		if err != nil {
			t.Fatal(err)
		}
		return &policy.Policy{Origins: []policy.Origin{o}}
	}
	for name, test := range map[string]struct {
		change   func(*Key)
		override Override
		want     Reason
	}{
		"revoked":          {func(k *Key) { k.State = Revoked }, Override{Disabled: true}, RevokedKey},
		"unusable":         {func(k *Key) { k.State = BindingUnavailable }, Override{Policy: origins("*")}, UnusableKey},
		"disabled":         {func(k *Key) { k.State = Disabled }, Override{Policy: origins("*")}, DisabledKey},
		"other origins":    {func(k *Key) { k.Policy = origins("https://a.example") }, Override{Policy: origins("https://b.example")}, UnusableKey},
		"the same origins": {func(k *Key) { k.Policy = origins("https://a.example") }, Override{Policy: origins("https://a.example")}, Allowed},
	} {
		t.Run(name, func(t *testing.T) {
			s, v, overrides := overriddenStore(t)
			k := sourceKey("a")
			test.change(&k)
			overrides["a"] = &test.override
			mustReplace(t, s, "docsgpt", k)
			if d := v.Verify(tokenOf("a"), noon); d.Reason != test.want {
				t.Errorf("decision %q, want %q", d.Reason, test.want)
			}
		})
	}
}
