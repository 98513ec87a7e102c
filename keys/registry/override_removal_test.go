package registry_test

import (
	"errors"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

func TestRemoveOverride(t *testing.T) {
	d := newRegistryTest(t)
	k := d.adopted()
	err := d.UpdateOverride(t.Context(), alice, k, registry.UpdateRequest{
		State: new(keys.Disabled), Policy: registry.PolicyChange{Kind: new(policy.Secret)},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.store.Remove(otherFeed)
	d.open() // a restart, while the key is missing
	if all := d.Overrides(); len(all) != 1 || all[0].ID != k.ID || !all[0].Disabled || all[0].Policy.Kind != policy.Secret {
		t.Errorf("overrides: %+v", all)
	}
	if err := d.RemoveOverride(t.Context(), alice, k.ID); err != nil {
		t.Fatal(err)
	}
	if len(d.Overrides()) != 0 || d.Override(k.ID) != nil {
		t.Errorf("the override stays: %+v", d.Overrides())
	}
	const want = "removed the changes of a key of another feed: disabled; kind secret"
	if e := d.last(); e.Action != registry.ActionChanged || e.Actor != "alice" || e.Key != k.ID || e.Detail != want {
		t.Errorf("audit entry: %+v", e)
	}
	if err := d.RemoveOverride(t.Context(), alice, k.ID); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	d.open()
	if d.adopted(); d.adoptedReason() != keys.Allowed {
		t.Errorf("the key returns: %q", d.adoptedReason())
	}
	// A key that is in the store is as in its feed again.
	if err := d.UpdateOverride(t.Context(), alice, k, registry.UpdateRequest{State: new(keys.Disabled)}); err != nil || d.adoptedReason() != keys.DisabledKey {
		t.Errorf("disabled: %v, %q", err, d.adoptedReason())
	}
	if err := d.RemoveOverride(t.Context(), alice, k.ID); err != nil || d.adoptedReason() != keys.Allowed {
		t.Errorf("removed while the store has the key: %v, %q", err, d.adoptedReason())
	}
}
