package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/usage"
)

// trackedFeed is a feed whose loads and changes are applied to a map, as in a store.
type trackedFeed struct {
	t    *testing.T
	feed keys.DeltaFeed
	keys map[string]keys.Key
}

func track(t *testing.T, f keys.Feed) *trackedFeed {
	t.Helper()
	feed, ok := f.(keys.DeltaFeed)
	if !ok {
		t.Fatal("the feed is not a keys.DeltaFeed")
	}
	tr := &trackedFeed{t, feed, map[string]keys.Key{}}
	tr.load()
	return tr
}

func (tr *trackedFeed) load() {
	tr.t.Helper()
	set, err := tr.feed.Load(tr.t.Context())
	if err != nil {
		tr.t.Fatal(err)
	}
	clear(tr.keys)
	for _, k := range set {
		tr.keys[k.ID] = k
	}
}

// changes applies the changes and returns their ids, sorted.
func (tr *trackedFeed) changes() []string {
	tr.t.Helper()
	delta, ok, err := tr.feed.Changes(tr.t.Context())
	if err != nil || !ok {
		tr.t.Fatalf("changes: %t, %v", ok, err)
	}
	ids := map[string]bool{}
	for _, k := range delta.Upserted {
		if ids[k.ID] {
			tr.t.Errorf("key %s is in the delta twice", k.ID)
		}
		ids[k.ID], tr.keys[k.ID] = true, k
	}
	return slices.Sorted(maps.Keys(ids))
}

func (tr *trackedFeed) want(what string, got []string, want ...string) {
	tr.t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tr.t.Errorf("%s: changed %v, want %v", what, got, want)
	}
}

// references contains the values that references resolve to.
type references struct{ env, other atomic.Value }

func (w *references) set(v *atomic.Value, s string) { v.Store(s) }

func (w *references) rules() registry.Rules {
	get := func(v *atomic.Value) string { s, _ := v.Load().(string); return s }
	return registry.Rules{
		Resolve: func(string) (string, error) { return get(&w.env), nil },
		AgentOf: func(string) (keys.Secret, bool) { s := get(&w.other); return keys.NewSecret(s), s != "" },
	}
}

func TestFeedChanges(t *testing.T) {
	d := newRegistryTest(t)
	a, _ := d.create()
	tr := track(t, d.Feed())
	tr.want("nothing", tr.changes())
	b, _ := d.create()
	d.rotate(a, time.Hour)
	tr.want("one new, one rotated", tr.changes(), a, b)
	tr.want("nothing again", tr.changes())
	if k := tr.keys[a]; len(k.PreviousTokens) != 1 || k.Name != "docs site" || k.Hint == "" || !slices.Equal(k.Binding.Sources, []string{sourceID}) {
		t.Errorf("key %+v", k)
	}
	// Each feed has its own position.
	second := track(t, d.Feed())
	c, _ := d.create()
	tr.want("the first", tr.changes(), c)
	second.want("the second", second.changes(), c)
}

func TestFeedChangesMatchLoad(t *testing.T) {
	d := newRegistryTest(t)
	w := &references{}
	w.set(&w.env, agentKey)
	d.SetRules(w.rules())
	tr := track(t, d.Feed())
	for i := range 20 {
		id, _ := d.create(func(draft *registry.CreateRequest) {
			if i%2 == 0 {
				draft.Sources, draft.Agent = nil, "{env.AGENT}"
			}
		})
		if i%3 == 0 {
			d.rotate(id, time.Hour)
		}
		if i%5 == 0 {
			if _, err := d.Revoke(t.Context(), alice, id); err != nil {
				t.Fatal(err)
			}
		}
		tr.changes()
	}
	byChanges := fmt.Sprintf("%v", tr.keys)
	tr.load()
	if byLoad := fmt.Sprintf("%v", tr.keys); byLoad != byChanges {
		t.Errorf("by changes %s\nby a load %s", byChanges, byLoad)
	}
}

func TestReferenceUnavailableAndRestored(t *testing.T) {
	for _, ref := range []string{"{env.AGENT}", "other"} {
		t.Run(ref, func(t *testing.T) {
			d := newRegistryTest(t)
			w := &references{}
			value := &w.env
			if ref == "other" {
				value = &w.other
			}
			w.set(value, agentKey)
			d.SetRules(w.rules())
			agent := func(draft *registry.CreateRequest) { draft.Sources, draft.Agent = nil, ref }
			a, _ := d.create(agent)
			b, _ := d.create(agent)
			revoked, _ := d.create(agent)
			disabled, _ := d.create(agent)
			d.create()
			if _, err := d.Revoke(t.Context(), alice, revoked); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Update(t.Context(), alice, disabled, registry.UpdateRequest{State: pointer(keys.Disabled)}); err != nil {
				t.Fatal(err)
			}
			tr := track(t, d.Feed())
			d.Recheck()
			tr.want("a recheck without changes", tr.changes())

			w.set(value, "")
			tr.want("before the recheck", tr.changes())
			d.Recheck()
			tr.want("unavailable", tr.changes(), a, b)
			if k := tr.keys[a]; k.State != keys.BindingUnavailable || !k.Binding.Agent.IsZero() {
				t.Errorf("state %s", k.State)
			}
			rec, err := d.Get(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if _, problem := d.Key(rec); problem == "" {
				t.Error("there is no problem")
			}
			for id, state := range map[string]keys.State{revoked: keys.Revoked, disabled: keys.Disabled} {
				if k := tr.keys[id]; k.State != state || !k.Binding.Agent.IsZero() {
					t.Errorf("a key that is %s is %s", state, k.State)
				}
			}
			store := keys.NewStore()
			if _, err := store.Replace("a", slices.Collect(maps.Values(tr.keys))); err != nil {
				t.Errorf("a store rejects the keys: %v", err)
			}

			w.set(value, "another agent key")
			w.set(value, "another-agent-key")
			d.Recheck()
			tr.want("available again, with another value", tr.changes(), a, b)
			if k := tr.keys[b]; k.State != keys.Active || k.Binding.Agent.Reveal() != "another-agent-key" {
				t.Errorf("state %s", k.State)
			}
			// A change of one key also detects the new value for all keys with the same reference.
			w.set(value, agentKey)
			c, _ := d.create(agent)
			tr.want("a new key", tr.changes(), a, b, c)
		})
	}
}

func TestSetRulesRechecksSources(t *testing.T) {
	d := newRegistryTest(t)
	fine, _ := d.create(func(draft *registry.CreateRequest) { draft.Sources = []string{"1"} })
	upper, _ := d.create(func(draft *registry.CreateRequest) { draft.Sources = []string{"2", "AB"} })
	bad, _ := d.create(func(draft *registry.CreateRequest) { draft.Sources = []string{"local/docs/"} })
	many, _ := d.create(func(draft *registry.CreateRequest) { draft.Sources = []string{"1", "2", "3"} })
	tr := track(t, d.Feed())
	d.SetRules(strict())
	tr.want("strict rules", tr.changes(), upper, bad, many)
	if got := tr.keys[upper].Binding.Sources; !slices.Equal(got, []string{"2", "ab"}) {
		t.Errorf("sources %v", got)
	}
	for _, id := range []string{bad, many} {
		if tr.keys[id].State != keys.BindingUnavailable {
			t.Errorf("state %s", tr.keys[id].State)
		}
	}
	if tr.keys[fine].State != keys.Active {
		t.Error("a valid key is not active")
	}
	rec, err := d.Get(t.Context(), upper)
	if err != nil || !slices.Equal(rec.Sources, []string{"2", "AB"}) {
		t.Errorf("the record has changed: %v, %v", rec, err)
	}
	d.SetRules(registry.Rules{})
	tr.want("no rules", tr.changes(), upper, bad, many)
	if tr.keys[bad].State != keys.Active || !slices.Equal(tr.keys[upper].Binding.Sources, []string{"2", "AB"}) {
		t.Error("the keys were not restored")
	}

	// The same for a key that is written together with the change of the rules.
	d.SetRules(strict())
	if _, err := d.Update(t.Context(), alice, bad, registry.UpdateRequest{Name: pointer("renamed")}); err != nil {
		t.Fatal(err)
	}
	tr.want("strict rules and a change", tr.changes(), upper, bad, many)
	d.SetRules(registry.Rules{})
	tr.want("no rules again", tr.changes(), upper, bad, many)
	if tr.keys[bad].State != keys.Active {
		t.Errorf("the key that was changed is %s", tr.keys[bad].State)
	}
}

func TestFeedReloadsAfterFailure(t *testing.T) {
	d := newRegistryTest(t)
	d.create()
	tr := track(t, d.Feed())
	d.create()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := tr.feed.Changes(ended); err == nil || ok {
		t.Fatalf("changes: %t, %v", ok, err)
	}
	if _, ok, err := tr.feed.Changes(t.Context()); ok || err != nil {
		t.Errorf("after a failure the feed still has a position: %v", err)
	}
	if _, err := tr.feed.Load(ended); err == nil {
		t.Error("a canceled load succeeded")
	}
	tr.load()
	if len(tr.keys) != 2 {
		t.Errorf("%d keys", len(tr.keys))
	}
}

func TestWatchNotifications(t *testing.T) {
	d := newRegistryTest(t) // its cache has goroutines that must not be in the bubble
	synctest.Test(t, func(t *testing.T) {
		w := &references{}
		w.set(&w.env, agentKey)
		d.SetRules(w.rules())
		id, _ := d.create(func(draft *registry.CreateRequest) { draft.Sources, draft.Agent = nil, "{env.AGENT}" })
		tr := track(t, d.Feed())
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int32
		ended := make(chan error)
		go func() { ended <- tr.feed.Watch(ctx, func() { calls.Add(1) }) }()
		notified := func(what string, want bool) {
			t.Helper()
			synctest.Wait()
			if got := calls.Swap(0) > 0; got != want {
				t.Errorf("%s: notified %t", what, got)
			}
		}
		notified("start", false)
		d.storage.NotifyWatchers()
		notified("another process", true)
		d.Recheck()
		notified("a recheck", true)
		tr.changes()
		time.Sleep(time.Hour)
		notified("nothing", false)
		w.set(&w.env, "")
		time.Sleep(30 * time.Second)
		notified("a variable was unset", true)
		tr.want("a variable was unset", tr.changes(), id)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		d.Recheck()
		d.storage.NotifyWatchers()
		notified("end", false)
	})
}

func TestUsageIsSavedAndRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage, meter := memstorage.New(), usage.NewMeter()
		r, err := registry.New(registry.Options{Storage: storage, Usage: meter})
		if err != nil {
			t.Fatal(err)
		}
		restored := func() uint32 {
			t.Helper()
			m := usage.NewMeter()
			if _, err := registry.New(registry.Options{Storage: storage, Usage: m}); err != nil {
				t.Fatal(err)
			}
			use := m.Get("a", time.Now())
			return use.Requests[usage.Hours-1] + use.Requests[usage.Hours-2]
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		meter.Count("a", false, time.Now())
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := restored(); got != 1 {
			t.Errorf("after a minute %d requests are saved", got)
		}
		storage.Fail(errors.New("the disk is full"))
		meter.Count("a", false, time.Now())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		storage.Fail(nil)
		meter.Count("b", false, time.Now())
		cancel()
		<-ended
		if got := restored(); got != 2 {
			t.Errorf("at the end %d requests are saved", got)
		}
		meter.Count("a", false, time.Now())
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if got := restored(); got != 3 {
			t.Errorf("after Close %d requests are saved", got)
		}
	})
}

func TestFeedRedactsSecrets(t *testing.T) {
	d := newRegistryTest(t)
	createWithAgentKey(d)
	set, err := d.Feed().Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.assertNoSecret("a printed key", fmt.Sprintf("%v %+v %#v", set, set, set))
	if !strings.HasPrefix(d.Feed().Name(), "store:") {
		t.Errorf("name %s", d.Feed().Name())
	}
}
