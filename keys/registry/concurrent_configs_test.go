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

// agents is a feed with one key, which toggle removes and adds.
type agents struct {
	mu      sync.Mutex
	present bool
	notify  chan struct{}
}

func (a *agents) Name() string { return "agents" }

func (a *agents) Load(context.Context) ([]keys.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.present {
		return nil, nil
	}
	return []keys.Key{{ID: "agent_1", Binding: keys.Binding{Agent: keys.NewSecret(agentKey)}, Digest: keys.DigestOf(agentKey)}}, nil
}

func (a *agents) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.notify:
			changed()
		}
	}
}

func (a *agents) toggle() {
	a.mu.Lock()
	a.present = !a.present
	a.mu.Unlock()
	a.notify <- struct{}{}
}

// Two configurations use one registry, each with its own store, syncer, index and rules, while keys are written and listed, agents
// are added and removed, and rules are pushed and withdrawn. There is no deadlock, and both end up with the same keys.
func TestConcurrentConfigurations(t *testing.T) {
	d := newRegistryTest(t)
	type side struct {
		store    *keys.Store
		syncer   *keys.Syncer
		index    *keyindex.Index
		agents   *agents
		withdraw func()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running, working sync.WaitGroup
	var sides [2]*side
	for i := range sides {
		s := &side{store: keys.NewStore(), index: keyindex.New(), agents: &agents{present: true, notify: make(chan struct{})}}
		s.store.Listen(s.index)
		s.store.Listen(d.Registry)
		feed := d.Feed()
		s.syncer = keys.NewSyncer(s.store, []keys.Feed{s.agents, feed}, nil)
		rules := registry.Rules{
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
				s.agents.toggle()
				d.PushRules(rules)()
				s.store.Counts(time.Now())
			}
		})
		working.Go(func() {
			for range 200 {
				if _, err := s.index.Page(keyindex.Query{Now: time.Now(), Text: "key"}); err != nil {
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
					t.Errorf("key %d is not valid when Create returns", n)
				}
				if _, err := d.Revoke(t.Context(), alice, made.Record.ID); err != nil {
					t.Error(err)
				}
				if k := s.store.Get(made.Record.ID); k == nil || k.State != keys.Revoked {
					t.Errorf("key %d is valid when Revoke returns", n)
				}
			}
		})
	}
	working.Wait()
	sides[0].withdraw()
	// The rules of the older side are withdrawn; those of the other one apply to both.
	made, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "for the agent", Agent: "agent_1"})
	if err != nil {
		t.Fatal(err)
	}
	sides[1].agents.toggle() // removes the key
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
		page, err := s.index.Page(keyindex.Query{Now: time.Now(), Feed: d.Feed().Name()})
		if err != nil || page.Total != 61 {
			t.Errorf("side %d lists %d keys, %v, want 61", i, page.Total, err)
		}
	}
}
