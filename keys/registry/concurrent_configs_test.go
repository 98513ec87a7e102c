package registry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
)

// agents is a feed whose one key comes and goes.
type agents struct {
	mu    sync.Mutex
	there bool
	ring  chan struct{}
}

func (a *agents) Name() string { return "agents" }

func (a *agents) Load(context.Context) ([]keys.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.there {
		return nil, nil
	}
	return []keys.Key{{ID: "agent_1", Binding: keys.Binding{Agent: keys.NewSecret(agentKey)}, Digest: keys.DigestOf(agentKey)}}, nil
}

func (a *agents) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.ring:
			changed()
		}
	}
}

func (a *agents) turn() {
	a.mu.Lock()
	a.there = !a.there
	a.mu.Unlock()
	a.ring <- struct{}{}
}

// Two configurations use one registry, each with a store, a syncer, a catalog and rules of its own, while keys are written,
// agents come and go, rules are given and withdrawn, and people list. All of it ends, and in the end both know the same.
func TestTwoConfigurationsAtOnce(t *testing.T) {
	d := newDesk(t)
	type side struct {
		store    *keys.Store
		syncer   *keys.Syncer
		catalog  *keyindex.Index
		agents   *agents
		withdraw func()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running, working sync.WaitGroup
	var sides [2]*side
	for i := range sides {
		s := &side{store: keys.NewStore(), catalog: keyindex.New(), agents: &agents{there: true, ring: make(chan struct{})}}
		s.store.Listen(s.catalog)
		s.store.Listen(d.Registry)
		feed := d.Feed()
		s.syncer = keys.NewSyncer(s.store, []keys.Feed{s.agents, feed}, nil)
		rules := registry.Policy{
			AgentOf: func(id string) (keys.Secret, bool) {
				k := s.store.Get(id)
				if k == nil {
					return keys.Secret{}, false
				}
				return k.Binding.Agent, k.Binding.Kind() == keys.AgentBinding
			},
		}
		s.withdraw = d.PushRules(rules)
		d.OnChange(func(ctx context.Context) error { return s.syncer.Sync(ctx, feed.Name()) })
		if err := s.syncer.LoadAll(ctx); err != nil {
			t.Fatal(err)
		}
		running.Go(func() { s.syncer.Run(ctx) })
		sides[i] = s
		working.Go(func() {
			for range 50 {
				s.agents.turn()
				d.PushRules(rules)()
				s.store.Counts(time.Now())
			}
		})
		working.Go(func() {
			for range 200 {
				if _, err := s.catalog.Page(keyindex.Query{Now: time.Now(), Text: "key"}); err != nil {
					t.Error(err)
				}
				d.Recheck()
			}
		})
		working.Go(func() {
			for n := range 30 {
				made, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: fmt.Sprintf("key %d", n), Sources: []string{sourceID}})
				if err != nil {
					t.Error(err)
					return
				}
				if k := s.store.Get(made.Record.ID); k == nil || k.State != keys.Active {
					t.Errorf("key %d does not count when its call returns", n)
				}
				if _, err := d.Revoke(t.Context(), alice, made.Record.ID); err != nil {
					t.Error(err)
				}
				if k := s.store.Get(made.Record.ID); k == nil || k.State != keys.Revoked {
					t.Errorf("key %d counts when its revocation has returned", n)
				}
			}
		})
	}
	working.Wait()
	sides[0].withdraw()
	// The older side has ended its rules; what the other one says holds for both.
	made, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "for the agent", Agent: "agent_1"})
	if err != nil {
		t.Fatal(err)
	}
	sides[1].agents.turn() // it goes
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		states := [2]keys.State{sides[0].store.Get(made.Record.ID).State, sides[1].store.Get(made.Record.ID).State}
		if states == [2]keys.State{keys.BindingUnavailable, keys.BindingUnavailable} {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("without its agent the key is %s and %s", states[0], states[1])
		}
	}
	cancel()
	running.Wait()
	for i, s := range sides {
		page, err := s.catalog.Page(keyindex.Query{Now: time.Now(), Feed: d.Feed().Name()})
		if err != nil || page.Total != 61 {
			t.Errorf("side %d lists %d keys, %v, want 61", i, page.Total, err)
		}
	}
}
