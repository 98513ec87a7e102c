package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// revoked creates a key and revokes it.
func (d *registryTest) revoked(change ...func(*registry.CreateRequest)) (id, token string) {
	d.t.Helper()
	id, token = d.create(change...)
	if _, err := d.Revoke(d.t.Context(), alice, id); err != nil {
		d.t.Fatal(err)
	}
	return id, token
}

func TestDelete(t *testing.T) {
	d := newRegistryTest(t)
	id, token := d.create(func(r *registry.CreateRequest) { r.Name = "docs site" })
	if err := d.Delete(t.Context(), alice, id); !errors.Is(err, registry.ErrNotRevoked) {
		t.Fatalf("deleting an active key: %v", err)
	}
	d.want(token, keys.Allowed)
	previous := token
	token = d.rotate(id, time.Hour)
	if _, err := d.Revoke(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	d.advance(time.Hour)
	if err := d.Delete(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	d.want(token, keys.UnknownToken)
	d.want(previous, keys.UnknownToken)
	if e := d.last(); e.Action != registry.ActionDeleted || e.Key != id || e.Name != "docs site" || e.Actor != "alice" || e.Detail != "" {
		t.Errorf("entry %+v", e)
	}
	stored, err := d.storage.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	now := noon.Add(time.Hour)
	if want := (registry.Record{
		ID: id, Digest: keys.DigestOf(token), State: keys.Revoked, Created: noon, Changed: now, Deleted: now, Revision: stored.Revision,
	}); stored.Name != want.Name || len(stored.Sources) > 0 || len(stored.PreviousTokens) > 0 || stored.Hint != "" || !stored.Rotated.IsZero() ||
		stored.Digest != want.Digest || stored.State != want.State || !stored.Created.Equal(want.Created) || !stored.Deleted.Equal(want.Deleted) {
		t.Errorf("stored %+v, want %+v", stored, want)
	}

	before := len(d.auditTrail())
	for what, call := range map[string]func() error{
		"Get":    func() error { _, err := d.Get(t.Context(), id); return err },
		"Delete": func() error { return d.Delete(t.Context(), alice, id) },
		"Revoke": func() error { _, err := d.Revoke(t.Context(), alice, id); return err },
		"Rotate": func() error { _, err := d.Rotate(t.Context(), alice, id, 0); return err },
		"Update": func() error {
			_, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{Name: pointer("x")})
			return err
		},
		"EndGrace": func() error { _, err := d.EndGrace(t.Context(), alice, id); return err },
	} {
		if err := call(); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s of a deleted key: %v", what, err)
		}
	}
	if n := len(d.auditTrail()); n != before {
		t.Errorf("%d more entries", n-before)
	}
	if err := d.Export(t.Context(), alice, func(r *registry.Record) error { t.Errorf("%s is exported", r.ID); return nil }); err != nil {
		t.Error(err)
	}
	d.open() // a restart
	d.want(token, keys.UnknownToken)
	if n := d.store.Len(); n != 0 {
		t.Errorf("%d keys in memory", n)
	}
	d.assertNoSecretStored()
}

func TestImportCannotRestoreDeletedKey(t *testing.T) {
	d := newRegistryTest(t)
	id, token := d.revoked()
	if err := d.Delete(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	for field, item := range map[string]registry.Import{
		"id":     {ID: id, Name: "n", Sources: []string{sourceID}, State: keys.Active},
		"sha256": {Name: "n", Sources: []string{sourceID}, State: keys.Active, Digest: keys.DigestOf(token)},
	} {
		for _, dry := range []bool{true, false} {
			_, err := d.Import(t.Context(), alice, []registry.Import{item}, dry)
			if err == nil || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "deleted key") {
				t.Errorf("%s, dry run %t: %v", field, dry, err)
			}
		}
	}
	d.want(token, keys.UnknownToken)
}

// What was counted just before a deletion is not saved afterwards.
func TestUsageOfDeletedKey(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := d.create()
	d.usage.Count(id, false, noon)
	if _, err := d.Revoke(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil { // saves the usage
		t.Fatal(err)
	}
	if err := d.storage.Use(t.Context(), func(r usage.Row) error { t.Errorf("stored %+v", r); return nil }); err != nil {
		t.Fatal(err)
	}
}

// The key of a reference, and one whose sources the rules reject: what the feed has kept of them is removed.
func TestFeedOfDeletedKeys(t *testing.T) {
	d := newRegistryTest(t)
	d.SetRules(registry.Rules{
		Resolve:     func(string) (string, error) { return agentKey, nil },
		CheckSource: func(id string) (string, error) { return strings.ToLower(id), nil },
	})
	id, _ := d.create(func(r *registry.CreateRequest) { r.Sources, r.Agent = nil, "{env.AGENT}" })
	kept, _ := d.create()
	tr := track(t, d.Feed())
	if _, err := d.Revoke(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	tr.want("revoked", tr.changes(), id)
	if err := d.Delete(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	delta, ok, err := tr.feed.Changes(t.Context())
	if err != nil || !ok || len(delta.Upserted) > 0 || !slices.Equal(delta.Deleted, []string{id}) {
		t.Fatalf("changes: %+v, %t, %v", delta, ok, err)
	}
	tr.want("nothing", tr.changes())
	d.SetRules(registry.Rules{CheckSource: func(string) (string, error) { return "", errors.New("none is valid") }})
	tr.want("other rules", tr.changes(), kept)
	d.Recheck()
	tr.want("nothing again", tr.changes())
	if tr.load(); len(tr.keys) != 1 || tr.keys[kept].ID != kept {
		t.Errorf("loaded %v", tr.keys)
	}
}
