package keys

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// withTokens returns a key with these tokens, the current one first.
func withTokens(id string, tokens ...string) Key {
	k := sourceKey(id)
	k.Digest = DigestOf(tokens[0])
	for _, token := range tokens[1:] {
		k.PreviousTokens = append(k.PreviousTokens, PreviousToken{Digest: DigestOf(token), Until: noon})
	}
	return k
}

// tokensOf returns which key each of the tokens finds, such as "1=a 2=- 3=b".
func tokensOf(s *Store, tokens ...string) string {
	var found []string
	for _, token := range tokens {
		id := "-"
		if k := s.Lookup(DigestOf(token)); k != nil {
			id = k.ID
		}
		found = append(found, token+"="+id)
	}
	return strings.Join(found, " ")
}

func TestApply(t *testing.T) {
	cases := map[string]struct {
		delta  Delta
		want   Change
		tokens string
		errs   []string
	}{
		"nothing":                        {Delta{}, Change{}, "1=a 2=a 3=b 4=c 5=- 9=other", nil},
		"the same again":                 {Delta{Upserted: []Key{withTokens("a", "1", "2"), withTokens("b", "3")}}, Change{}, "1=a 2=a 3=b 4=c 5=- 9=other", nil},
		"one more":                       {Delta{Upserted: []Key{withTokens("d", "5")}}, Change{Added: 1}, "1=a 2=a 3=b 4=c 5=d 9=other", nil},
		"one gone":                       {Delta{Deleted: []string{"a"}}, Change{Removed: 1}, "1=- 2=- 3=b 4=c 5=- 9=other", nil},
		"gone twice, and unknown":        {Delta{Deleted: []string{"a", "a", "unknown", ""}}, Change{Removed: 1}, "1=- 2=- 3=b 4=c 5=- 9=other", nil},
		"gone, of another feed":          {Delta{Deleted: []string{"other"}}, Change{}, "1=a 2=a 3=b 4=c 5=- 9=other", nil},
		"rotated":                        {Delta{Upserted: []Key{withTokens("b", "5", "3")}}, Change{Updated: 1}, "1=a 2=a 3=b 4=c 5=b 9=other", nil},
		"a previous token is removed":    {Delta{Upserted: []Key{withTokens("a", "1")}}, Change{Updated: 1}, "1=a 2=- 3=b 4=c 5=- 9=other", nil},
		"previous token becomes current": {Delta{Upserted: []Key{withTokens("a", "2", "1")}}, Change{Updated: 1}, "1=a 2=a 3=b 4=c 5=- 9=other", nil},
		"two keys swap tokens": {
			Delta{Upserted: []Key{withTokens("b", "4"), withTokens("c", "3")}}, Change{Updated: 2}, "1=a 2=a 3=c 4=b 5=- 9=other", nil,
		},
		"three keys rotate tokens, including previous ones": {
			Delta{Upserted: []Key{withTokens("a", "3", "4"), withTokens("b", "1"), withTokens("c", "2")}},
			Change{Updated: 3},
			"1=b 2=c 3=a 4=a 5=- 9=other", nil,
		},
		"the token of a deleted key": {
			Delta{Upserted: []Key{withTokens("b", "5", "2")}, Deleted: []string{"a"}}, Change{Updated: 1, Removed: 1}, "1=- 2=b 3=- 4=c 5=b 9=other", nil,
		},
		"the token of a key that stays": {
			Delta{Upserted: []Key{withTokens("b", "1"), withTokens("d", "5")}, Deleted: []string{"c"}},
			Change{Added: 1, Removed: 2},
			"1=a 2=a 3=- 4=- 5=d 9=other",
			[]string{"key b: same token as key a"},
		},
		"a previous token of a key that stays": {
			Delta{Upserted: []Key{withTokens("d", "5", "2")}}, Change{}, "1=a 2=a 3=b 4=c 5=- 9=other", []string{"key d: same token as key a"},
		},
		"the token of a key that is in the delta and keeps it": {
			Delta{Upserted: []Key{withTokens("b", "1"), withTokens("a", "1", "2")}},
			Change{Updated: 1, Removed: 1},
			"1=b 2=- 3=- 4=c 5=- 9=other",
			[]string{"key a: same token as key b"},
		},
		"the token of a key that keeps it and is earlier in the delta": {
			Delta{Upserted: []Key{withTokens("a", "1", "2"), withTokens("b", "1")}},
			Change{Removed: 1},
			"1=a 2=a 3=- 4=c 5=- 9=other",
			[]string{"key b: same token as key a"},
		},
		"the token of a rejected key": {
			Delta{Upserted: []Key{{ID: "a", Digest: DigestOf("1")}, withTokens("d", "1")}},
			Change{Added: 1, Removed: 1},
			"1=d 2=- 3=b 4=c 5=- 9=other",
			[]string{"key a must be bound to either sources or an agent"},
		},
		"two new keys with the same token": {
			Delta{Upserted: []Key{withTokens("d", "5"), withTokens("e", "6", "5")}},
			Change{Added: 1},
			"1=a 2=a 3=b 4=c 5=d 9=other",
			[]string{"key e: same token as key d"},
		},
		"duplicate id": {
			Delta{Upserted: []Key{withTokens("d", "5"), withTokens("d", "6")}},
			Change{Added: 1},
			"1=a 2=a 3=b 4=c 5=d 9=other",
			[]string{"key d: the id is used more than once"},
		},
		"put and gone": {
			Delta{Upserted: []Key{withTokens("a", "5")}, Deleted: []string{"a"}},
			Change{Removed: 1},
			"1=- 2=- 3=b 4=c 5=- 9=other",
			[]string{"key a: the id is used more than once"},
		},
		"conflicts with another feed": {
			Delta{Upserted: []Key{withTokens("other", "5"), withTokens("b", "6", "9"), withTokens("d", "9"), withTokens("e", "5")}},
			Change{Added: 1, Removed: 1},
			"1=a 2=a 3=- 4=c 5=e 9=other",
			[]string{
				"key other: the id is also used in feed g", "key b: same token as key other of feed g",
				"key d: same token as key other of feed g",
			},
		},
		"empty key": {
			Delta{Upserted: []Key{{}, withTokens("d", "5")}}, Change{Added: 1}, "1=a 2=a 3=b 4=c 5=d 9=other", []string{"a key has no id"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := NewStore()
			mustReplace(t, s, "f", withTokens("a", "1", "2"), withTokens("b", "3"), withTokens("c", "4"))
			mustReplace(t, s, "g", withTokens("other", "9"))
			revision, size := s.Revision(), s.Len()
			got, err := s.Apply("f", tc.delta)
			if got != tc.want {
				t.Errorf("change %+v, want %+v", got, tc.want)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if want := strings.Join(tc.errs, "\n"); text != want {
				t.Errorf("error:\n%s\nwant:\n%s", text, want)
			}
			if tokens := tokensOf(s, "1", "2", "3", "4", "5", "9"); tokens != tc.tokens {
				t.Errorf("tokens %s, want %s", tokens, tc.tokens)
			}
			if grown := s.Revision() > revision; grown == tc.want.IsZero() {
				t.Errorf("revision went from %d to %d", revision, s.Revision())
			}
			if s.Len() != size+tc.want.Added-tc.want.Removed {
				t.Errorf("%d keys", s.Len())
			}
			checkTables(t, s)
		})
	}
}

// checkTables checks the invariants of the tables: each key is found by its ID and by each of its tokens, and there are no
// other entries.
func checkTables(t *testing.T, s *Store) {
	t.Helper()
	txn := s.db.Txn(false)
	tokens, size := 0, 0
	each(txn, func(rec *record) {
		size++
		if s.byID(txn, rec.ID) != rec || rec.ref.Load() == retiredRef {
			t.Errorf("key %s is not found by its ID, or is retired", rec.ID)
		}
		for d := range rec.digests {
			tokens++
			if s.byDigest(txn, d) != rec {
				t.Errorf("key %s is not found by a token", rec.ID)
			}
		}
	})
	rows, err := txn.Get(tableDigests, indexSlot)
	if err != nil {
		t.Fatal(err)
	}
	for row := rows.Next(); row != nil; row = rows.Next() {
		tokens -= len(row.(*bucket).entries)
	}
	if tokens != 0 || size != s.Len() {
		t.Errorf("%d tokens too many; %d keys, counted as %d", -tokens, size, s.Len())
	}
}

// A delta takes effect with the next decision, whatever is cached.
func TestApplyTakesEffectImmediately(t *testing.T) {
	store := readyStore(t, sourceKey("a"), sourceKey("b"))
	v := newVerifier(t, store, CacheConfig{})
	revoked, rotated := sourceKey("a"), sourceKey("a")
	revoked.State = Revoked
	rotated.Digest, rotated.PreviousTokens = DigestOf("new"), []PreviousToken{{Digest: DigestOf(tokenOf("a")), Until: noon}}
	steps := []struct {
		name     string
		delta    Delta
		old, new Reason // of the key's first token and of the token after the rotation
	}{
		{"at first", Delta{}, Allowed, UnknownToken},
		{"rotated", Delta{Upserted: []Key{rotated}}, TokenRotated, Allowed},
		{"revoked", Delta{Upserted: []Key{revoked}}, RevokedKey, UnknownToken},
		{"gone", Delta{Deleted: []string{"a"}}, UnknownToken, UnknownToken},
		{"back", Delta{Upserted: []Key{sourceKey("a")}}, Allowed, UnknownToken},
		{"in conflict", Delta{Upserted: []Key{withTokens("a", tokenOf("b"))}}, UnknownToken, UnknownToken},
	}
	for _, step := range steps {
		_, err := store.Apply("test", step.delta)
		if (err != nil) != (step.name == "in conflict") {
			t.Errorf("%s: %v", step.name, err)
		}
		for range 3 {
			for token, want := range map[string]Reason{tokenOf("a"): step.old, "new": step.new, tokenOf("b"): Allowed} {
				if d := v.Verify(token, noon); d.Reason != want {
					t.Errorf("%s: %s is %q, want %q", step.name, token, d.Reason, want)
				}
			}
			v.settle()
		}
	}
}

// Modifying a delta after Apply does not affect the store.
func TestApplyCopiesItsInput(t *testing.T) {
	s := NewStore()
	delta := Delta{Upserted: []Key{withTokens("a", "1", "2")}}
	if _, err := s.Apply("f", delta); err != nil {
		t.Fatal(err)
	}
	delta.Upserted[0].Binding.Sources[0], delta.Upserted[0].PreviousTokens[0].Until = "changed", time.Time{}
	if k := s.Get("a"); k.Binding.Sources[0] != sourceID || !k.PreviousTokens[0].Until.Equal(noon) {
		t.Errorf("the stored key has changed: %+v", k)
	}
}

// listenerCopy is a Listener that maintains a copy of the store, and checks that it is notified in order and exactly once.
type listenerCopy struct {
	t     *testing.T
	keys  map[string]*Key
	calls int
}

func (m *listenerCopy) KeysChanged(out, in []*Key) {
	m.calls++
	for _, k := range out {
		if m.keys[k.ID] != k {
			m.t.Errorf("key %s was removed, but never added", k.ID)
		}
		delete(m.keys, k.ID)
	}
	for _, k := range in {
		if m.keys[k.ID] != nil {
			m.t.Errorf("key %s was added twice", k.ID)
		}
		m.keys[k.ID] = k
	}
}

// Listeners are notified of each change exactly once, in order, and before the call that made the change returns: after
// concurrent writes their copies equal the store.
func TestListenersSeeEveryChange(t *testing.T) {
	store := NewStore()
	listeners := make([]*listenerCopy, 3)
	listen := func(i int) {
		listeners[i] = &listenerCopy{t: t, keys: map[string]*Key{}}
		store.Listen(listeners[i])
	}
	listen(0)
	mustReplace(t, store, "f-0", sourceKey("f-0-key-1"))
	listen(1) // it starts with the existing keys
	if store.Get("f-0-key-1") == nil || listeners[1].keys["f-0-key-1"] != store.Get("f-0-key-1") || listeners[0].calls != 2 {
		t.Error("not notified of the first key")
	}

	const writers, steps = 3, 300
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			feed := fmt.Sprint("f-", w)
			key := func() Key {
				k := sourceKey(fmt.Sprintf("%s-key-%d", feed, r.IntN(20)))
				k.Digest = DigestOf(fmt.Sprint("token-", r.IntN(80))) // the writers cause conflicts with each other
				k.Name, k.State = fmt.Sprint(r.IntN(3)), State(r.IntN(3))
				for range r.IntN(3) {
					k.PreviousTokens = append(k.PreviousTokens, PreviousToken{Digest: DigestOf(fmt.Sprint("token-", r.IntN(80))), Until: noon})
				}
				return k
			}
			for step := range steps {
				var delta Delta
				for range r.IntN(6) {
					delta.Upserted = append(delta.Upserted, key())
				}
				for range r.IntN(3) {
					delta.Deleted = append(delta.Deleted, key().ID)
				}
				switch {
				case step%10 > 0:
					_, _ = store.Apply(feed, delta) // conflicts are part of the test
				case step%50 > 0:
					_, _ = store.Replace(feed, delta.Upserted)
				default:
					store.Remove(feed)
				}
			}
		})
	}
	wg.Go(func() { listen(2) }) // while the writers run
	wg.Wait()
	checkTables(t, store)
	for i, m := range listeners {
		if len(m.keys) != store.Len() {
			t.Errorf("listener %d has %d keys of %d", i, len(m.keys), store.Len())
		}
		for id, k := range m.keys {
			if store.Get(id) != k {
				t.Errorf("listener %d has an outdated key %s", i, id)
			}
		}
	}
}

// Over random sequences of deltas the store equals a plain map that applies the same rules.
func TestApplyMatchesModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 8))
			store, model := NewStore(), map[string]Key{}
			digest := func() Digest { return DigestOf(fmt.Sprint("token-", r.IntN(60))) }
			for range 200 {
				var delta Delta
				for _, i := range r.Perm(25)[:r.IntN(6)] { // no duplicate IDs
					id := fmt.Sprint("key-", i)
					if r.IntN(4) == 0 {
						delta.Deleted = append(delta.Deleted, id)
						continue
					}
					k := sourceKey(id)
					k.Digest = digest()
					if old := digest(); old != k.Digest && r.IntN(2) == 0 {
						k.PreviousTokens = []PreviousToken{{Digest: old, Until: noon}}
					}
					delta.Upserted = append(delta.Upserted, k)
				}
				before := len(model)
				conflicts := applyToModel(model, delta)
				change, err := store.Apply("f", delta)
				if (err != nil) != (conflicts > 0) || err != nil && len(strings.Split(err.Error(), "\n")) != conflicts {
					t.Fatalf("%d conflicts, error %v", conflicts, err)
				}
				if change.Added-change.Removed != len(model)-before || store.Len() != len(model) {
					t.Fatalf("%+v, %d keys, want %d", change, store.Len(), len(model))
				}
				for id, want := range model {
					want.Feed = "f"
					if got := store.Get(id); got == nil || !got.equal(&want) {
						t.Fatalf("key %s is %+v, want %+v", id, got, want)
					}
				}
			}
			checkTables(t, store)
		})
	}
}

// applyToModel first removes all keys that are in the delta, then adds those whose tokens are free, one by one.
func applyToModel(model map[string]Key, delta Delta) (conflicts int) {
	for _, id := range delta.Deleted {
		delete(model, id)
	}
	for i := range delta.Upserted {
		delete(model, delta.Upserted[i].ID)
	}
	for _, k := range delta.Upserted {
		used := false
		for _, other := range model {
			for d := range k.digests {
				used = used || other.has(d)
			}
		}
		if used {
			conflicts++
			continue
		}
		model[k.ID] = k
	}
	return conflicts
}

// BenchmarkApply measures a change of one key in a large feed. Compare it with BenchmarkReplace.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n, " keys"), func(b *testing.B) {
			set := sourceKeys(n)
			store := readyStore(b, set...)
			changed := slices.Clone(set[n/2 : n/2+1])
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				changed[0].Name = fmt.Sprint("Key ", i)
				if c, err := store.Apply("test", Delta{Upserted: changed}); err != nil || c.Updated != 1 {
					b.Fatal(c, err)
				}
			}
		})
	}
}
