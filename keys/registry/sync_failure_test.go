package registry_test

import (
	"errors"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// A key whose token another feed also has is not applied, which changes of it report. Changes of other keys are applied without an
// error.
func TestConflictAffectsOnlyItsKey(t *testing.T) {
	d := newRegistryTest(t)
	token := d.hide(keys.NewToken(policy.AnyKind))
	shared := keys.Key{ID: "of-a-file", Digest: keys.DigestOf(token), Binding: keys.Binding{Sources: []string{sourceID}}}
	if _, err := d.store.Replace("file", []keys.Key{shared}); err != nil {
		t.Fatal(err)
	}
	// Another process without that feed writes to the storage.
	otherProcess, err := registry.New(registry.Options{Storage: d.storage})
	if err != nil {
		t.Fatal(err)
	}
	items, err := otherProcess.Import(t.Context(), alice,
		[]registry.Import{{Name: "twice", Sources: []string{sourceID}, Digest: keys.DigestOf(token)}}, false)
	if err != nil || len(items) != 1 {
		t.Fatal(items, err)
	}
	twice := items[0].Record.ID

	id, own := d.create()
	d.want(own, keys.Allowed)
	if _, err := d.Revoke(t.Context(), alice, id); err != nil {
		t.Errorf("revoking another key: %v", err)
	}
	d.want(own, keys.RevokedKey)

	rename := registry.UpdateRequest{Name: pointer("still twice")}
	if _, err := d.Update(t.Context(), alice, twice, rename); !errors.Is(err, registry.ErrNotApplied) {
		t.Errorf("changing the key in conflict: %v", err)
	}
	d.store.Remove("file")
	if _, err := d.Update(t.Context(), alice, twice, registry.UpdateRequest{Name: pointer("once")}); err != nil {
		t.Errorf("after the conflict: %v", err)
	}
	if key := d.store.Lookup(keys.DigestOf(token)); key == nil || key.ID != twice || key.Name != "once" {
		t.Errorf("after the conflict the token is that of %+v", key)
	}
}
