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

// tracked is a feed whose changes are in a map, as a store has them.
type tracked struct {
	t    *testing.T
	feed keys.DeltaFeed
	keys map[string]keys.Key
}

func track(t *testing.T, f keys.Feed) *tracked {
	t.Helper()
	feed, ok := f.(keys.DeltaFeed)
	if !ok {
		t.Fatal("the feed is no tracker")
	}
	tr := &tracked{t, feed, map[string]keys.Key{}}
	tr.load()
	return tr
}

func (tr *tracked) load() {
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

// changes takes the changes in and returns the ids, sorted.
func (tr *tracked) changes() []string {
	tr.t.Helper()
	delta, ok, err := tr.feed.Changes(tr.t.Context())
	if err != nil || !ok {
		tr.t.Fatalf("changes: %t, %v", ok, err)
	}
	ids := map[string]bool{}
	for _, k := range delta.Upserted {
		if ids[k.ID] {
			tr.t.Errorf("key %s stands twice in the delta", k.ID)
		}
		ids[k.ID], tr.keys[k.ID] = true, k
	}
	return slices.Sorted(maps.Keys(ids))
}

func (tr *tracked) want(what string, got []string, want ...string) {
	tr.t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tr.t.Errorf("%s: changed %v, want %v", what, got, want)
	}
}

// world is what references stand for.
type world struct{ env, other atomic.Value }

func (w *world) set(v *atomic.Value, s string) { v.Store(s) }

func (w *world) rules() registry.Policy {
	get := func(v *atomic.Value) string { s, _ := v.Load().(string); return s }
	return registry.Policy{
		Resolve: func(string) (string, error) { return get(&w.env), nil },
		AgentOf: func(string) (keys.Secret, bool) { s := get(&w.other); return keys.NewSecret(s), s != "" },
	}
}

func TestFeedTellsChangesAndNothingElse(t *testing.T) {
	d := newDesk(t)
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
	// A feed has a position of its own.
	second := track(t, d.Feed())
	c, _ := d.create()
	tr.want("the first", tr.changes(), c)
	second.want("the second", second.changes(), c)
}

func TestFeedIsTheSameHoweverItIsRead(t *testing.T) {
	d := newDesk(t)
	w := &world{}
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

func TestReferencesThatVanishAndComeBack(t *testing.T) {
	for _, ref := range []string{"{env.AGENT}", "other"} {
		t.Run(ref, func(t *testing.T) {
			d := newDesk(t)
			w := &world{}
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
			tr.want("a recheck without news", tr.changes())

			w.set(value, "")
			tr.want("before the recheck", tr.changes())
			d.Recheck()
			tr.want("vanished", tr.changes(), a, b)
			if k := tr.keys[a]; k.State != keys.BindingUnavailable || !k.Binding.Agent.IsZero() {
				t.Errorf("state %s", k.State)
			}
			rec, err := d.Get(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if _, problem := d.Key(rec); problem == "" {
				t.Error("nothing says why")
			}
			for id, state := range map[string]keys.State{revoked: keys.Revoked, disabled: keys.Disabled} {
				if k := tr.keys[id]; k.State != state || !k.Binding.Agent.IsZero() {
					t.Errorf("a key that is %s is %s", state, k.State)
				}
			}
			store := keys.NewStore()
			if _, err := store.Replace("a", slices.Collect(maps.Values(tr.keys))); err != nil {
				t.Errorf("a store refuses such keys: %v", err)
			}

			w.set(value, "another agent key")
			w.set(value, "another-agent-key")
			d.Recheck()
			tr.want("back, with another value", tr.changes(), a, b)
			if k := tr.keys[b]; k.State != keys.Active || k.Binding.Agent.Reveal() != "another-agent-key" {
				t.Errorf("state %s", k.State)
			}
			// The next change of one key finds the news for all that refer to the same.
			w.set(value, agentKey)
			c, _ := d.create(agent)
			tr.want("a new key", tr.changes(), a, b, c)
		})
	}
}

func TestNewRulesJudgeSourcesAnew(t *testing.T) {
	d := newDesk(t)
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
		t.Error("a good key is not active")
	}
	rec, err := d.Get(t.Context(), upper)
	if err != nil || !slices.Equal(rec.Sources, []string{"2", "AB"}) {
		t.Errorf("the record has changed: %v, %v", rec, err)
	}
	d.SetRules(registry.Policy{})
	tr.want("no rules", tr.changes(), upper, bad, many)
	if tr.keys[bad].State != keys.Active || !slices.Equal(tr.keys[upper].Binding.Sources, []string{"2", "AB"}) {
		t.Error("the keys are not what they were")
	}

	// The same for a key that was written at the same time as the rules were changed.
	d.SetRules(strict())
	if _, err := d.Update(t.Context(), alice, bad, registry.UpdateRequest{Name: pointer("renamed")}); err != nil {
		t.Fatal(err)
	}
	tr.want("strict rules and a change", tr.changes(), upper, bad, many)
	d.SetRules(registry.Policy{})
	tr.want("no rules again", tr.changes(), upper, bad, many)
	if tr.keys[bad].State != keys.Active {
		t.Errorf("the key that was changed is %s", tr.keys[bad].State)
	}
}

func TestFeedThatFailsIsLoadedAnew(t *testing.T) {
	d := newDesk(t)
	d.create()
	tr := track(t, d.Feed())
	d.create()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := tr.feed.Changes(ended); err == nil || ok {
		t.Fatalf("changes: %t, %v", ok, err)
	}
	if _, ok, err := tr.feed.Changes(t.Context()); ok || err != nil {
		t.Errorf("after a failure the feed says that it knows its position: %v", err)
	}
	if _, err := tr.feed.Load(ended); err == nil {
		t.Error("a load that was cut off is one")
	}
	tr.load()
	if len(tr.keys) != 2 {
		t.Errorf("%d keys", len(tr.keys))
	}
}

func TestWatchHearsOfEverything(t *testing.T) {
	d := newDesk(t) // its cache has goroutines that must not be in the bubble
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.set(&w.env, agentKey)
		d.SetRules(w.rules())
		id, _ := d.create(func(draft *registry.CreateRequest) { draft.Sources, draft.Agent = nil, "{env.AGENT}" })
		tr := track(t, d.Feed())
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int32
		ended := make(chan error)
		go func() { ended <- tr.feed.Watch(ctx, func() { calls.Add(1) }) }()
		heard := func(what string, want bool) {
			t.Helper()
			synctest.Wait()
			if got := calls.Swap(0) > 0; got != want {
				t.Errorf("%s: heard %t", what, got)
			}
		}
		heard("the beginning", false)
		d.storage.Touched()
		heard("another process", true)
		d.Recheck()
		heard("a recheck", true)
		tr.changes()
		time.Sleep(time.Hour)
		heard("nothing", false)
		w.set(&w.env, "")
		time.Sleep(30 * time.Second)
		heard("a variable that vanished", true)
		tr.want("a variable that vanished", tr.changes(), id)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		d.Recheck()
		d.storage.Touched()
		heard("the end", false)
	})
}

func TestUseIsSavedAndRestored(t *testing.T) {
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

func TestNoFeedTextHoldsASecret(t *testing.T) {
	d := newDesk(t)
	sealed(d)
	set, err := d.Feed().Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.searched("a printed key", fmt.Sprintf("%v %+v %#v", set, set, set))
	if !strings.HasPrefix(d.Feed().Name(), "store:") {
		t.Errorf("name %s", d.Feed().Name())
	}
}
