package adopted

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

// However agents come, go, and change, and however they are told to the memory, the deltas it gives out make the store what
// the agents say: the same as a memory that is given all of them at once.
func TestDeltasAddUp(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			now := time.Unix(1e9, 0)
			filter := Filter{Published: seed%3 == 0}
			m := NewMemory(MemoryOptions{Feed: "f", Filter: filter})
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
				named := map[string]bool{}
				for range 1 + rnd.IntN(3) {
					id := fmt.Sprint(rnd.IntN(12))
					if named[id] {
						continue
					}
					named[id] = true
					if rnd.IntN(4) == 0 {
						delete(truth, id)
						gone = append(gone, id)
						continue
					}
					a := agent(id, fmt.Sprint("key", rnd.IntN(14))) // also keys that others have
					if rnd.IntN(6) == 0 {
						a.Key = keys.Secret{}
					}
					a.Status = []string{"draft", "published"}[rnd.IntN(2)]
					truth[id] = a
					put = append(put, a)
				}
				var pending bool
				if rnd.IntN(5) == 0 {
					pending = m.Compare(all(), now)
				} else {
					pending = m.Update(put, gone, now)
				}
				if rnd.IntN(3) == 0 {
					continue // changes pile up
				}
				delta := m.Changes()
				if pending != (len(delta.Put)+len(delta.Gone) > 0) {
					t.Fatalf("pending is %t, and there are %d changes", pending, len(delta.Put)+len(delta.Gone))
				}
				if _, err := store.Apply("f", delta); err != nil {
					t.Fatalf("a store does not take the delta: %v", err)
				}
				want, left := Keys(all(), filter)
				if store.Len() != len(want) || len(m.Left()) != len(left) {
					t.Fatalf("%d keys and %d left out, want %d and %d", store.Len(), len(m.Left()), len(want), len(left))
				}
				for i := range want {
					got := store.Get(want[i].ID)
					if got == nil || got.Digest != want[i].Digest || !reflect.DeepEqual(got.Facts, want[i].Facts) {
						t.Fatalf("key %s is not what the agents say", want[i].ID)
					}
				}
			}
		})
	}
}

// What says the same again is no change.
func TestSameAgain(t *testing.T) {
	m := NewMemory(MemoryOptions{Feed: "f"})
	now := time.Unix(1e9, 0)
	m.Load([]Agent{agent("1", "a"), agent("2", "b")}, now)
	if m.Update([]Agent{agent("1", "a")}, []string{"9"}, now) || m.Compare([]Agent{agent("2", "b"), agent("1", "a")}, now) {
		t.Error("nothing has changed")
	}
	if d := m.Changes(); len(d.Put)+len(d.Gone) != 0 {
		t.Errorf("changes: %+v", d)
	}
}

// While the database is away the memory gives its last keys, with the time of their last confirmation.
func TestKept(t *testing.T) {
	cause := errors.New("away")
	m := NewMemory(MemoryOptions{Feed: "f"})
	set, err := m.Kept(cause)
	stale := (*keys.Stale)(nil)
	if !errors.As(err, &stale) || !stale.At.IsZero() || len(set) != 0 || !errors.Is(err, cause) {
		t.Errorf("nothing was ever read: %d keys, %v", len(set), err)
	}
	now := time.Unix(1e9, 0)
	m.Load([]Agent{agent("1", "a")}, now)
	m.Confirm(now.Add(time.Minute))
	m.Confirm(now) // older ones change nothing
	set, err = m.Kept(cause)
	if !errors.As(err, &stale) || !stale.At.Equal(now.Add(time.Minute)) || tokens(set) != "a" {
		t.Errorf("%d keys, %v", len(set), err)
	}
	if !m.Fresh().Equal(now.Add(time.Minute)) {
		t.Errorf("fresh as of %s", m.Fresh())
	}
}

// An id of which there is no agent switches no key off, and that is said once.
func TestOffWithoutAnAgent(t *testing.T) {
	var notes []string
	m := NewMemory(MemoryOptions{
		Feed: "f", Filter: Filter{Off: []string{"agent_A", "b", "Wrong"}}, Note: func(text string) { notes = append(notes, text) },
	})
	now := time.Unix(1e9, 0)
	unusable := agent("b", "not a key\n")
	for range 2 {
		set := m.Load([]Agent{agent("A", "a"), unusable, agent("c", "c")}, now)
		if len(set) != 2 || set[0].State != keys.Disabled || set[1].State != keys.Active {
			t.Errorf("keys: %+v", set)
		}
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "off names wrong, but") {
		t.Errorf("notes: %q", notes)
	}
	m.Load([]Agent{agent("wrong", "a")}, now)
	m.Load(nil, now)
	if len(notes) != 3 || !strings.Contains(notes[1], "off names a, b, but") || !strings.Contains(notes[2], "a, b, wrong") {
		t.Errorf("notes later: %q", notes)
	}
}
