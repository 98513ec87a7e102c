package docsgptkeys

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// After any additions, deletions and changes of agents, reported in any way, the deltas update the store to the same keys as
// one conversion of all agents.
func TestDeltasMatchFullConversion(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			now := time.Unix(1e9, 0)
			filter := Filter{OnlyPublished: seed%3 == 0}
			m := NewAgentCache(AgentCacheOptions{Feed: "f", Filter: filter})
			store := keys.NewStore()
			truth := map[string]Agent{}
			all := func() []Agent {
				var list []Agent
				for _, a := range truth {
					list = append(list, a)
				}
				return list
			}
			if _, err := store.Replace("f", m.Load(nil, now)); err != nil {
				t.Fatal(err)
			}
			for range 200 {
				var put []Agent
				var gone []string
				used := map[string]bool{}
				for range 1 + rnd.IntN(3) {
					id := fmt.Sprint(rnd.IntN(12))
					if used[id] {
						continue
					}
					used[id] = true
					if rnd.IntN(4) == 0 {
						delete(truth, id)
						gone = append(gone, id)
						continue
					}
					a := agent(id, fmt.Sprint("key", rnd.IntN(14))) // including keys of other agents
					if rnd.IntN(6) == 0 {
						a.Key = keys.Secret{}
					}
					a.Status = []string{"draft", "published"}[rnd.IntN(2)]
					truth[id] = a
					put = append(put, a)
				}
				var pending bool
				if rnd.IntN(5) == 0 {
					pending = m.Diff(all(), now)
				} else {
					pending = m.Update(put, gone, now)
				}
				if rnd.IntN(3) == 0 {
					continue // changes accumulate
				}
				delta := m.Changes()
				if pending != (len(delta.Upserted)+len(delta.Deleted) > 0) {
					t.Fatalf("pending is %t, but there are %d changes", pending, len(delta.Upserted)+len(delta.Deleted))
				}
				if _, err := store.Apply("f", delta); err != nil {
					t.Fatalf("the store rejects the delta: %v", err)
				}
				want, skipped := convert(all(), filter)
				if store.Len() != len(want) || len(m.Skipped()) != len(skipped) {
					t.Fatalf("%d keys and %d skipped agents, want %d and %d", store.Len(), len(m.Skipped()), len(want), len(skipped))
				}
				for i := range want {
					got := store.Get(want[i].ID)
					if got == nil || got.Digest != want[i].Digest || !reflect.DeepEqual(got.Facts, want[i].Facts) {
						t.Fatalf("key %s differs from its agent", want[i].ID)
					}
				}
			}
		})
	}
}

// Equal agents are not reported as changes.
func TestEqualAgentsAreNotChanges(t *testing.T) {
	m := NewAgentCache(AgentCacheOptions{Feed: "f"})
	now := time.Unix(1e9, 0)
	m.Load([]Agent{agent("1", "a"), agent("2", "b")}, now)
	if m.Update([]Agent{agent("1", "a")}, []string{"9"}, now) || m.Diff([]Agent{agent("2", "b"), agent("1", "a")}, now) {
		t.Error("a change was reported")
	}
	if d := m.Changes(); len(d.Upserted)+len(d.Deleted) != 0 {
		t.Errorf("changes: %+v", d)
	}
}

// During an outage of the database Cached returns the last keys, with the time of their last confirmation.
func TestCachedReturnsLastKeys(t *testing.T) {
	cause := errors.New("unavailable")
	m := NewAgentCache(AgentCacheOptions{Feed: "f"})
	set, err := m.Cached(cause)
	stale := (*keys.StaleError)(nil)
	if !errors.As(err, &stale) || !stale.AsOf.IsZero() || len(set) != 0 || !errors.Is(err, cause) {
		t.Errorf("before the first read: %d keys, %v", len(set), err)
	}
	now := time.Unix(1e9, 0)
	m.Load([]Agent{agent("1", "a")}, now)
	m.Confirm(now.Add(time.Minute))
	m.Confirm(now) // an older confirmation has no effect
	set, err = m.Cached(cause)
	if !errors.As(err, &stale) || !stale.AsOf.Equal(now.Add(time.Minute)) || tokens(set) != "a" {
		t.Errorf("%d keys, %v", len(set), err)
	}
	if !m.LastConfirmed().Equal(now.Add(time.Minute)) {
		t.Errorf("confirmed at %s", m.LastConfirmed())
	}
}

// An excluded ID without an agent disables no key, which is reported once.
func TestExcludedKeysWithoutAgent(t *testing.T) {
	var notes []string
	m := NewAgentCache(AgentCacheOptions{
		Feed: "f", Filter: Filter{Excluded: []string{"agent_A", "b", "Wrong"}}, OnWarning: func(text string) { notes = append(notes, text) },
	})
	now := time.Unix(1e9, 0)
	unusable := agent("b", "not a key\n")
	for range 2 {
		set := m.Load([]Agent{agent("A", "a"), unusable, agent("c", "c")}, now)
		if len(set) != 2 || set[0].State != keys.Disabled || set[1].State != keys.Active {
			t.Errorf("keys: %+v", set)
		}
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "exclude_keys contains wrong, but") {
		t.Errorf("notes: %q", notes)
	}
	m.Load([]Agent{agent("wrong", "a")}, now)
	m.Load(nil, now)
	if len(notes) != 3 || !strings.Contains(notes[1], "exclude_keys contains a, b, but") || !strings.Contains(notes[2], "a, b, wrong") {
		t.Errorf("notes later: %q", notes)
	}
}
