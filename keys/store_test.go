package keys

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

func TestStoreLookup(t *testing.T) {
	s := NewStore()
	for i := range 3 { // a single key, and several keys per bucket
		n := []int{1, 1000, 5000}[i]
		set := sourceKeys(n)
		mustReplace(t, s, "f", set...)
		if s.Len() != n {
			t.Fatalf("Len() = %d, want %d", s.Len(), n)
		}
		for i := range set {
			k := s.Lookup(set[i].Digest)
			if k == nil || k.ID != set[i].ID || k.Feed != "f" {
				t.Fatalf("Lookup of %s: %+v", set[i].ID, k)
			}
			if s.Get(set[i].ID) != k {
				t.Fatalf("Get(%q) is another key", set[i].ID)
			}
		}
		if s.Lookup(DigestOf("unknown")) != nil || s.Get("unknown") != nil {
			t.Error("found a key that does not exist")
		}
	}
}

func TestReplaceCountsChanges(t *testing.T) {
	s := NewStore()
	a, b, c := sourceKey("a"), sourceKey("b"), sourceKey("c")
	changed := b
	changed.State = Disabled
	swappedA, swappedC := a, c
	swappedA.Digest, swappedC.Digest = c.Digest, a.Digest
	steps := []struct {
		name string
		set  []Key
		want Change
	}{
		{"first load", []Key{a, b}, Change{Added: 2}},
		{"the same again, in another order", []Key{b, a}, Change{}},
		{"one more", []Key{a, b, c}, Change{Added: 1}},
		{"one changed", []Key{a, changed, c}, Change{Updated: 1}},
		{"one gone", []Key{a, c}, Change{Removed: 1}},
		{"two keys swap tokens", []Key{swappedA, swappedC}, Change{Updated: 2}},
		{"an id is reused with another token", []Key{{ID: "a", Binding: a.Binding, Digest: b.Digest}, c}, Change{Updated: 2}},
		{"all other keys", []Key{b}, Change{Added: 1, Removed: 2}},
		{"none", nil, Change{Removed: 1}},
		{"none again", []Key{}, Change{}},
	}
	for _, step := range steps {
		before := s.Revision()
		if got := mustReplace(t, s, "f", step.set...); got != step.want {
			t.Errorf("%s: change %+v, want %+v", step.name, got, step.want)
		}
		if grown := s.Revision() > before; grown == step.want.IsZero() {
			t.Errorf("%s: revision went from %d to %d", step.name, before, s.Revision())
		}
		if s.Len() != len(step.set) {
			t.Errorf("%s: Len() = %d, want %d", step.name, s.Len(), len(step.set))
		}
		for _, k := range step.set {
			if got := s.Lookup(k.Digest); got == nil || got.ID != k.ID || got.State != k.State || s.Get(k.ID) != got {
				t.Errorf("%s: key %s is %+v", step.name, k.ID, got)
			}
		}
	}
}

// Unchanged records keep their identity, so caches of them stay valid.
func TestReplaceKeepsUnchangedRecords(t *testing.T) {
	s := NewStore()
	mustReplace(t, s, "f", sourceKey("a"), sourceKey("b"))
	a := s.Get("a")
	changed := sourceKey("b")
	changed.Name = "other"
	mustReplace(t, s, "f", sourceKey("a"), changed)
	if s.Get("a") != a {
		t.Error("an unchanged record was written again")
	}
}

// Modifying the set after Replace does not affect the store.
func TestReplaceCopiesItsInput(t *testing.T) {
	s := NewStore()
	set := []Key{sourceKey("a")}
	mustReplace(t, s, "f", set...)
	set[0].Binding.Sources[0] = "changed"
	set[0].State = Disabled
	if k := s.Get("a"); k.Binding.Sources[0] != sourceID || k.State != Active {
		t.Errorf("the stored key has changed: %+v", k)
	}
}

// A set with conflicts is rejected as a whole, and the error names all conflicting keys and contains no digest.
func TestReplaceRejectsConflicts(t *testing.T) {
	withDigest := func(id, of string) Key {
		k := sourceKey(id)
		k.Digest = sourceKey(of).Digest
		return k
	}
	cases := map[string]struct {
		set  []Key
		want []string
	}{
		"duplicate id": {
			[]Key{sourceKey("a"), withDigest("a", "b")}, []string{"key a: the id is used more than once"},
		},
		"duplicate token": {
			[]Key{sourceKey("a"), withDigest("b", "a"), withDigest("c", "a")},
			[]string{"key b: same token as key a", "key c: same token as key a"},
		},
		"id of another feed": {
			[]Key{withDigest("taken", "a")}, []string{"key taken: the id is also used in feed other"},
		},
		"token of another feed": {
			[]Key{withDigest("a", "taken")}, []string{"key a: same token as key taken of feed other"},
		},
		"key of another feed": {
			[]Key{sourceKey("taken")},
			[]string{"key taken: the id is also used in feed other", "key taken: same token as key taken of feed other"},
		},
		"invalid keys": {
			[]Key{
				{Name: "x"},
				{ID: "a"},
				{ID: "b", Digest: DigestOf("b")},
				{ID: "c", Digest: DigestOf("c"), Binding: Binding{Sources: []string{""}}},
				{ID: "d", Digest: DigestOf("d"), Binding: Binding{Sources: []string{"s"}, Agent: NewSecret(canary)}},
			},
			[]string{
				"a key has no id", "key a has no digest", "key b must be bound to either sources or an agent",
				"key c is bound to a source without an id", "key d must be bound to either sources or an agent",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := NewStore()
			mustReplace(t, s, "other", sourceKey("taken"))
			mustReplace(t, s, "f", sourceKey("mine"))
			revision := s.Revision()
			_, err := s.Replace("f", append(tc.set, sourceKey("good")))
			if err == nil {
				t.Fatal("no error")
			}
			if want := strings.Join(tc.want, "\n"); err.Error() != want {
				t.Errorf("error:\n%v\nwant:\n%s", err, want)
			}
			if s.Revision() != revision || s.Len() != 2 || s.Get("mine") == nil || s.Get("good") != nil {
				t.Error("a part of the set was applied")
			}
		})
	}
}

// After a rejected set the store accepts the next one: no transaction is left open.
func TestReplaceAfterConflict(t *testing.T) {
	s := NewStore()
	if _, err := s.Replace("f", []Key{{}}); err == nil {
		t.Fatal("no error")
	}
	mustReplace(t, s, "f", sourceKey("a"))
}

func TestRemoveAffectsOnlyItsFeed(t *testing.T) {
	s := NewStore()
	mustReplace(t, s, "f", sourceKey("a"), sourceKey("b"))
	mustReplace(t, s, "g", sourceKey("c"))
	if got := s.Remove("f"); got != (Change{Removed: 2}) {
		t.Errorf("change %+v", got)
	}
	if s.Len() != 1 || s.Get("a") != nil || s.Get("c") == nil {
		t.Error("the remaining keys are not those of the other feed")
	}
	if got := s.Remove("f"); !got.IsZero() {
		t.Errorf("second removal: %+v", got)
	}
	mustReplace(t, s, "g", sourceKey("c"), sourceKey("a")) // the ID and the token are free again
}

func TestCounts(t *testing.T) {
	s := NewStore()
	check := func(name string, at time.Time, active, disabled, notYet, expired int) {
		t.Helper()
		want := map[string]int{
			"active": active, "disabled": disabled, "not_yet_valid": notYet, "expired": expired, "revoked": 0, "unusable": 0,
		}
		for range 2 { // counted, and cached
			got := s.Counts(at)
			if !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
			clear(got) // the caller owns the map
		}
	}
	check("no keys", noon, 0, 0, 0, 0)
	disabled, future, past := sourceKey("disabled"), sourceKey("future"), sourceKey("past")
	disabled.State, disabled.Expires = Disabled, noon // the operator's setting takes precedence
	future.NotBefore = noon.Add(time.Hour)
	past.Expires = noon
	mustReplace(t, s, "f", sourceKey("a"), disabled, future, past)
	check("at noon", noon, 1, 1, 1, 1)
	check("before noon", noon.Add(-1), 2, 1, 1, 0)
	check("just before one", noon.Add(time.Hour-1), 1, 1, 1, 1)
	check("at one", noon.Add(time.Hour), 2, 1, 0, 1)
	mustReplace(t, s, "f", sourceKey("a"))
	check("after a change", noon.Add(time.Hour), 1, 0, 0, 0)
}

// Readers see a change as a whole or not at all, and take no lock: the test would not end otherwise.
func TestReadersSeeAtomicChanges(t *testing.T) {
	s := NewStore()
	even, odd := sourceKeys(50), sourceKeys(50)
	for i := range odd {
		odd[i].ID = fmt.Sprintf("odd-%d", i)
	}
	mustReplace(t, s, "f", even...)
	stop := make(chan struct{})
	done := make(chan error)
	for range 2 {
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				txn := s.db.Txn(false)
				ids := map[bool]int{}
				each(txn, func(r *record) { ids[strings.HasPrefix(r.ID, "odd")]++ })
				if len(ids) != 1 || ids[true]+ids[false] != 50 {
					done <- fmt.Errorf("mixed keys of two sets: %v", ids)
					return
				}
			}
		}()
	}
	for i := range 40 {
		mustReplace(t, s, "f", [][]Key{odd, even}[i%2]...)
	}
	close(stop)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
