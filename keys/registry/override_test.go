package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

const otherFeed = "docsgpt:test"

// adopted returns a key of another feed, and puts it in the store.
func (d *registryTest) adopted(change ...func(*keys.Key)) *keys.Key {
	d.t.Helper()
	k := keys.Key{
		ID: "agent_1", Name: "Agent", Digest: keys.DigestOf("token-of-the-agent"), Feed: otherFeed,
		Binding: keys.Binding{Agent: keys.NewSecret(agentKey)},
	}
	for _, f := range change {
		f(&k)
	}
	if _, err := d.store.Replace(otherFeed, []keys.Key{k}); err != nil {
		d.t.Fatal(err)
	}
	d.store.SetReady(true)
	return d.store.Original(k.ID)
}

func (d *registryTest) adoptedReason() keys.Reason {
	return d.verifier.Verify("token-of-the-agent", d.now()).Reason
}

func TestUpdateOverride(t *testing.T) {
	d := newRegistryTest(t)
	k := d.adopted()
	update := func(e registry.UpdateRequest) {
		t.Helper()
		if err := d.UpdateOverride(t.Context(), alice, k, e); err != nil {
			t.Fatal(err)
		}
	}
	update(registry.UpdateRequest{State: new(keys.Disabled)})
	if d.adoptedReason() != keys.DisabledKey {
		t.Errorf("disabled: %q", d.adoptedReason())
	}
	update(registry.UpdateRequest{State: new(keys.Disabled)}) // no change, no audit entry
	d.store.Remove(otherFeed)
	d.open() // a restart, while the key is missing
	k = d.adopted()
	if d.adoptedReason() != keys.DisabledKey {
		t.Errorf("after a restart: %q", d.adoptedReason())
	}
	update(registry.UpdateRequest{State: new(keys.Active), Policy: registry.PolicyChange{Kind: new(policy.Secret)}})
	if got := d.store.Get(k.ID); d.adoptedReason() != keys.Allowed || got.Policy == nil || got.Policy.Kind != policy.Secret {
		t.Errorf("enabled: %q, %+v", d.adoptedReason(), got.Policy)
	}
	update(registry.UpdateRequest{Policy: registry.PolicyChange{Kind: new(policy.AnyKind)}})
	if d.store.Get(k.ID).Policy != nil || d.Override(k.ID) != nil {
		t.Errorf("the override stays: %+v", d.Override(k.ID))
	}
	entries, err := d.Audit(t.Context(), k.ID, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprint(e.Action, " ", e.Actor, " ", e.Name, ": ", e.Detail))
	}
	want := "changed alice Agent: kind not specified, was secret; key of the feed docsgpt:test\n" +
		"changed alice Agent: kind secret; active; key of the feed docsgpt:test\n" +
		"disabled alice Agent: key of the feed docsgpt:test"
	if strings.Join(got, "\n") != want {
		t.Errorf("audit trail:\n%s", strings.Join(got, "\n"))
	}
}

func TestUpdateOverrideErrors(t *testing.T) {
	d := newRegistryTest(t)
	origin, err := policy.ParseOrigin("https://a.example")
	if err != nil {
		t.Fatal(err)
	}
	other, err := policy.ParseOrigin("https://b.example")
	if err != nil {
		t.Fatal(err)
	}
	k := d.adopted(func(k *keys.Key) { k.State, k.Policy = keys.Disabled, &policy.Policy{Origins: []policy.Origin{origin}} })
	for field, e := range map[string]registry.UpdateRequest{
		"name":       {Name: new("other")},
		"expires":    {Expires: new(noon)},
		"not_before": {NotBefore: new(noon)},
		"sources":    {Sources: []string{sourceID}},
		"agent":      {Agent: "{env.AGENT}"},
		"agent_key":  {AgentKey: agentKey},
		"state":      {State: new(keys.Active)},
		"origins":    {Policy: registry.PolicyChange{Origins: &[]policy.Origin{other}}},
	} {
		err := d.UpdateOverride(t.Context(), alice, k, e)
		if fault, ok := errors.AsType[*registry.FieldError](err); !ok || fault.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := d.UpdateOverride(t.Context(), alice, k, registry.UpdateRequest{
		Policy: registry.PolicyChange{Kind: new(policy.Publishable)},
	}); err == nil {
		t.Error("a publishable key without origins is accepted")
	}
	d.storage.Fail(errors.New("the disk is full"))
	if err := d.UpdateOverride(t.Context(), alice, k, registry.UpdateRequest{State: new(keys.Disabled)}); err == nil || d.Override(k.ID) != nil {
		t.Errorf("a failed write: %v, %+v", err, d.Override(k.ID))
	}
}

func TestOverridesBounded(t *testing.T) {
	d := newRegistryTest(t)
	disable := registry.UpdateRequest{State: new(keys.Disabled)}
	for i := range registry.MaxOverrides {
		if err := d.UpdateOverride(t.Context(), alice, &keys.Key{ID: fmt.Sprint("agent_", i), Feed: otherFeed}, disable); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.UpdateOverride(t.Context(), alice, &keys.Key{ID: "agent_new", Feed: otherFeed}, disable); !errors.Is(err, registry.ErrTooManyOverrides) {
		t.Errorf("one more: %v", err)
	}
	if err := d.UpdateOverride(t.Context(), alice, &keys.Key{ID: "agent_0", Feed: otherFeed}, registry.UpdateRequest{State: new(keys.Active)}); err != nil {
		t.Errorf("removing one: %v", err)
	}
	if err := d.UpdateOverride(t.Context(), alice, &keys.Key{ID: "agent_new", Feed: otherFeed}, disable); err != nil {
		t.Errorf("after removing one: %v", err)
	}
}
