package registry_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// rejectAll returns rules that reject every source with an error that contains their name.
func rejectAll(name string) registry.Rules {
	return registry.Rules{CheckSource: func(string) (string, error) { return "", errors.New(name) }}
}

// Several configurations use one registry during a reload. The latest rules that were not withdrawn are current, regardless of the
// order in which the configurations end, and feeds are notified.
func TestPushRulesWithdraw(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := d.create()
	tr := track(t, d.Feed())
	current := func(what, want string) {
		t.Helper()
		tr.changes()
		if got := tr.keys[id].State; (got == keys.BindingUnavailable) != (want != "") {
			t.Errorf("%s: the key is %s", what, got)
		}
		rec, err := d.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, problem := d.Key(rec); want == "" && problem != "" || want != "" && problem != "source "+sourceID+": "+want {
			t.Errorf("%s: the problem is %q, want that of %q", what, problem, want)
		}
	}
	current("without rules", "")
	first := d.PushRules(rejectAll("first"))
	current("the first", "first")
	rejected := d.PushRules(registry.Rules{})
	current("one that is rejected later", "")
	rejected()
	current("the first again", "first")
	second := d.PushRules(rejectAll("second"))
	current("the second", "second")
	first()
	current("the first has ended", "second")
	rejected()
	first()
	current("withdrawn twice", "second")
	d.SetRules(rejectAll("base"))
	current("base rules are hidden", "second")
	second()
	current("only the base rules remain", "base")
}

// When a key of another feed changes or is removed, for example because its feed is unavailable for too long, the keys that refer to
// it are resolved again, and not otherwise.
func TestRecheckAfterChangeOfOtherFeed(t *testing.T) {
	d := newRegistryTest(t)
	d.store.Listen(d.Registry)
	d.SetRules(registry.Rules{AgentOf: func(id string) (keys.Secret, bool) {
		k := d.store.Get(id)
		if k == nil || k.Binding.Kind() != keys.AgentBinding {
			return keys.Secret{}, false
		}
		return k.Binding.Agent, true
	}})
	other := keys.Key{ID: "agent_1", Binding: keys.Binding{Agent: keys.NewSecret(agentKey)}, Digest: keys.DigestOf(agentKey)}
	replace := func(set ...keys.Key) {
		t.Helper()
		if _, err := d.store.Replace("docsgpt", set); err != nil {
			t.Fatal(err)
		}
	}
	replace(other)
	id, _ := d.create(func(draft *registry.CreateRequest) { draft.Sources, draft.Agent = nil, other.ID })

	tr := track(t, d.Feed())
	var calls atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- tr.feed.Watch(ctx, func() { calls.Add(1) }) }()
	for calls.Load() == 0 { // until the watch is there
		d.Recheck()
	}
	tr.changes()
	calls.Store(0)
	notified := func(what string, want bool, state keys.State) {
		t.Helper()
		if got := calls.Swap(0) > 0; got != want {
			t.Errorf("%s: notified %t", what, got)
		}
		tr.changes()
		if got := tr.keys[id].State; got != state {
			t.Errorf("%s: the key is %s, want %s", what, got, state)
		}
	}
	d.store.Remove("docsgpt")
	notified("removed", true, keys.BindingUnavailable)
	replace(other)
	notified("restored", true, keys.Active)
	other.Binding.Agent = keys.NewSecret("another")
	replace(other)
	notified("another agent", true, keys.Active)
	if got := tr.keys[id].Binding.Agent.Reveal(); got != "another" {
		t.Error("the key is bound to the previous agent key")
	}
	replace(other)
	notified("nothing", false, keys.Active)
	d.create()
	notified("a key of the registry", false, keys.Active)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A change between the load of a feed and its watch is not missed.
func TestRecheckBeforeWatch(t *testing.T) {
	d := newRegistryTest(t)
	f := d.Feed()
	watch := func(ctx context.Context) (calls int) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if err := f.Watch(ctx, func() { calls++ }); err != nil {
			t.Error(err)
		}
		return calls
	}
	tr := track(t, f)
	if n := watch(t.Context()); n != 0 {
		t.Errorf("without a change: notified %d times", n)
	}
	d.Recheck()
	if n := watch(t.Context()); n != 1 {
		t.Errorf("after a change: notified %d times", n)
	}
	tr.changes()
	if n := watch(t.Context()); n != 0 {
		t.Errorf("after the change was read: notified %d times", n)
	}
}
