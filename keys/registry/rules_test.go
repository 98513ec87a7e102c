package registry_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// refusing are rules that refuse every source, and name themselves when they do.
func refusing(name string) registry.Policy {
	return registry.Policy{CheckSource: func(string) (string, error) { return "", errors.New(name) }}
}

// Several configurations use one registry for a while. In force are the newest rules that nobody has withdrawn, whichever
// of the configurations ends first; and feeds hear of it.
func TestRulesThatAreWithdrawn(t *testing.T) {
	d := newDesk(t)
	id, _ := d.create()
	tr := track(t, d.Feed())
	inForce := func(what, want string) {
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
	inForce("without rules", "")
	first := d.PushRules(refusing("first"))
	inForce("the first", "first")
	refused := d.PushRules(registry.Policy{})
	inForce("one that is refused in the end", "")
	refused()
	inForce("the first again", "first")
	second := d.PushRules(refusing("second"))
	inForce("the second", "second")
	first()
	inForce("the first has ended", "second")
	refused()
	first()
	inForce("they have ended twice", "second")
	d.SetRules(refusing("base"))
	inForce("those below", "second")
	second()
	inForce("only those below are left", "base")
}

// However a key of another feed changes, also when it is only taken away since its feed was lost for too long, the keys that
// stand for it are looked at again, and no sooner than that.
func TestKeysOfOtherFeedsAreListenedTo(t *testing.T) {
	d := newDesk(t)
	d.store.Listen(d.Registry)
	d.SetRules(registry.Policy{AgentOf: func(id string) (keys.Secret, bool) {
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
	heard := func(what string, want bool, state keys.State) {
		t.Helper()
		if got := calls.Swap(0) > 0; got != want {
			t.Errorf("%s: heard %t", what, got)
		}
		tr.changes()
		if got := tr.keys[id].State; got != state {
			t.Errorf("%s: the key is %s, want %s", what, got, state)
		}
	}
	d.store.Remove("docsgpt")
	heard("taken away", true, keys.BindingUnavailable)
	replace(other)
	heard("there again", true, keys.Active)
	other.Binding.Agent = keys.NewSecret("another")
	replace(other)
	heard("another agent", true, keys.Active)
	if got := tr.keys[id].Binding.Agent.Reveal(); got != "another" {
		t.Error("the key stands for the agent's old key")
	}
	replace(other)
	heard("nothing", false, keys.Active)
	d.create()
	heard("a key of the registry's own", false, keys.Active)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
