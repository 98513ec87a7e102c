package migration_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/migration"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/usage"
)

var alice = registry.Actor{Name: "alice", RemoteAddr: "192.0.2.1"}

// store is a registry and its storage.
type store struct {
	registry.Storage
	*registry.Registry
	t *testing.T
}

func newStore(t *testing.T, s registry.Storage) *store {
	t.Helper()
	r, err := registry.New(registry.Options{Storage: s, Encrypter: registry.NewEncrypter(filepath.Join(t.TempDir(), "secret"))})
	if err != nil {
		t.Fatal(err)
	}
	return &store{s, r, t}
}

func (s *store) create(name string) string {
	s.t.Helper()
	made, err := s.Create(s.t.Context(), alice, registry.CreateRequest{Name: name, Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return made.Record.ID
}

func (s *store) revoke(id string) {
	s.t.Helper()
	if _, err := s.Revoke(s.t.Context(), alice, id); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) disable(id string) {
	s.t.Helper()
	state := keys.Disabled
	if _, err := s.Update(s.t.Context(), alice, id, registry.UpdateRequest{State: &state}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) state(id string) keys.State {
	s.t.Helper()
	r, err := s.Storage.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.State
}

// pair returns a source with keys, and a copy of it.
func pair(t *testing.T, names ...string) (source, target *store, ids []string) {
	t.Helper()
	source = newStore(t, memstorage.New())
	for _, name := range names {
		ids = append(ids, source.create(name))
	}
	bolt, err := boltstore.Open(t.Context(), boltstore.Options{Path: filepath.Join(t.TempDir(), "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	if err := registry.Copy(t.Context(), source.Storage, bolt); err != nil {
		t.Fatal(err)
	}
	return source, newStore(t, bolt), ids
}

func (s *store) catchUp(to *store) migration.Changes {
	s.t.Helper()
	changes, err := migration.CatchUp(s.t.Context(), s.Storage, to.Storage)
	if err != nil {
		s.t.Fatal(err)
	}
	return changes
}

// What was changed in the source since the copy is copied once.
func TestCatchUp(t *testing.T) {
	source, target, ids := pair(t, "a", "b", "c")
	source.revoke(ids[0])
	source.disable(ids[1])
	created := source.create("d")
	override := &registry.Override{ID: "agent_1", Disabled: true}
	write := func(o *registry.Override) {
		t.Helper()
		if err := source.WriteOverride(t.Context(), o, &registry.AuditEntry{Action: registry.ActionDisabled, Key: o.ID}); err != nil {
			t.Fatal(err)
		}
	}
	write(override)
	changes := source.catchUp(target)
	want := []string{ids[0], ids[1], created, "agent_1"}
	slices.Sort(want)
	if !slices.Equal(changes.Copied, want) || len(changes.Revoked)+len(changes.Differ) > 0 {
		t.Errorf("%+v, want %v", changes, want)
	}
	if target.state(ids[0]) != keys.Revoked || target.state(ids[1]) != keys.Disabled || target.state(ids[2]) != keys.Active {
		t.Error("the states were not copied")
	}
	if changes := source.catchUp(target); len(changes.Copied)+len(changes.Revoked)+len(changes.Differ) > 0 {
		t.Errorf("nothing has changed: %+v", changes)
	}

	// The removal of an override.
	override.Disabled = false
	write(override)
	if changes := source.catchUp(target); !slices.Equal(changes.Copied, []string{"agent_1"}) {
		t.Errorf("%+v", changes)
	}
	if err := target.Storage.Overrides(t.Context(), func(o *registry.Override) error { return errors.New(o.ID) }); err != nil {
		t.Errorf("the override remains: %v", err)
	}
}

// Changes that were made in the target remain. Those of the same key in the source are reported, except that it is revoked.
func TestChangedInBoth(t *testing.T) {
	source, target, ids := pair(t, "a", "b", "c")
	for _, id := range ids {
		target.disable(id)
	}
	source.revoke(ids[0])
	source.disable(ids[1])
	for range 2 {
		changes := source.catchUp(target)
		if len(changes.Copied) > 0 || !slices.Equal(changes.Differ, ids[1:2]) {
			t.Errorf("%+v", changes)
		}
	}
	if target.state(ids[0]) != keys.Revoked || target.state(ids[1]) != keys.Disabled || target.state(ids[2]) != keys.Disabled {
		t.Error("a change of the target is lost, or a revocation was undone")
	}
}

// A revocation in the target is not undone.
func TestRevokedInTarget(t *testing.T) {
	source, target, ids := pair(t, "a")
	target.revoke(ids[0])
	source.disable(ids[0])
	if changes := source.catchUp(target); !slices.Equal(changes.Differ, ids) || target.state(ids[0]) != keys.Revoked {
		t.Errorf("%+v, %v", changes, target.state(ids[0]))
	}
}

// Deleted keys are copied with everything else, and a key that is deleted in the source later is deleted in the target as well.
func TestDeletedKeys(t *testing.T) {
	source := newStore(t, memstorage.New())
	before, later := source.create("a"), source.create("b")
	remove := func(s *store, id string) {
		t.Helper()
		s.revoke(id)
		if err := s.Delete(t.Context(), alice, id); err != nil {
			t.Fatal(err)
		}
	}
	remove(source, before)
	if err := source.SaveUse(t.Context(), []usage.Row{{ID: before, LastUsed: 1}}); err != nil { // such as counted when it was deleted
		t.Fatal(err)
	}
	bolt, err := boltstore.Open(t.Context(), boltstore.Options{Path: filepath.Join(t.TempDir(), "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	if err := registry.Copy(t.Context(), source.Storage, bolt); err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Compare(t.Context(), source.Storage, bolt); err != nil {
		t.Fatal(err)
	}
	target := newStore(t, bolt)
	wantDeleted := func(id string) {
		t.Helper()
		if r, err := target.Storage.Get(t.Context(), id); err != nil || !r.IsDeleted() {
			t.Errorf("%s is not deleted in the target: %v", id, err)
		}
		if _, err := target.Registry.Get(t.Context(), id); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("the deleted key %s: %v", id, err)
		}
	}
	wantDeleted(before)

	remove(source, later)
	if changes := source.catchUp(target); !slices.Equal(changes.Copied, []string{later}) {
		t.Errorf("%+v", changes)
	}
	wantDeleted(later)
}

// failing fails at the n-th write.
type failing struct {
	registry.Storage
	n int
}

func (f *failing) Write(ctx context.Context, r []*registry.Record, e []*registry.AuditEntry) error {
	if f.n--; f.n < 0 {
		return errors.New("the connection is lost")
	}
	return f.Storage.Write(ctx, r, e)
}

func (f *failing) WriteOverride(ctx context.Context, o *registry.Override, e *registry.AuditEntry) error {
	if f.n--; f.n < 0 {
		return errors.New("the connection is lost")
	}
	return f.Storage.WriteOverride(ctx, o, e)
}

// CatchUp can be interrupted anywhere, and repeated.
func TestInterruptedCatchUp(t *testing.T) {
	for n := range 6 {
		source, target, ids := pair(t, "a", "b")
		source.disable(ids[0])
		source.revoke(ids[0])
		source.create("c")
		o := &registry.Override{ID: "agent_1", Disabled: true}
		for range 3 {
			if err := source.WriteOverride(t.Context(), o, &registry.AuditEntry{Action: registry.ActionDisabled, Key: o.ID}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := migration.CatchUp(t.Context(), source.Storage, &failing{target.Storage, n})
		if (err != nil) != (n < 4) { // two keys, an override, and its other entries
			t.Errorf("%d writes: %v", n, err)
		}
		source.catchUp(target)
		if target.state(ids[0]) != keys.Revoked {
			t.Errorf("%d writes: the revocation is lost", n)
		}
		entries, err := target.Storage.Audit(t.Context(), "", 0, 100)
		if err != nil || len(entries) != 8 {
			t.Errorf("%d writes: %d entries, %v", n, len(entries), err)
		}
	}
}

// A target with other keys is rejected.
func TestNotACopy(t *testing.T) {
	source, other := newStore(t, memstorage.New()), newStore(t, memstorage.New())
	if _, err := migration.CatchUp(t.Context(), source.Storage, other.Storage); !errors.Is(err, migration.ErrNotACopy) {
		t.Errorf("two empty stores: %v", err)
	}
	source.create("a")
	other.create("b")
	if _, err := migration.CatchUp(t.Context(), source.Storage, other.Storage); !errors.Is(err, migration.ErrNotACopy) {
		t.Errorf("%v", err)
	}
}

// Compare finds each kind of difference.
func TestCompare(t *testing.T) {
	for name, change := range map[string]func(s *store, id string) error{
		"keys": func(s *store, id string) error {
			r, err := s.Storage.Get(s.t.Context(), id)
			if err != nil {
				return err
			}
			r.Name = "other"
			return s.Write(s.t.Context(), []*registry.Record{r}, nil)
		},
		"changes of keys of other feeds, audit trail": func(s *store, id string) error {
			return s.WriteOverride(s.t.Context(), &registry.Override{ID: "o", Disabled: true}, &registry.AuditEntry{Action: registry.ActionDisabled})
		},
		"audit trail": func(s *store, _ string) error {
			return s.Write(s.t.Context(), nil, []*registry.AuditEntry{{Action: registry.ActionExported}})
		},
		"usage": func(s *store, id string) error {
			return s.SaveUse(s.t.Context(), []usage.Row{{ID: id, LastUsed: 1}})
		},
		"quotas": func(s *store, id string) error {
			return s.Storage.SaveQuotas(s.t.Context(), []quota.Row{{ID: id, Day: 1, QuestionsDay: 1}}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, target, ids := pair(t, "a", "b")
			if counts, err := migration.Compare(t.Context(), source.Storage, target.Storage); err != nil || counts.Keys != 2 || counts.Entries != 2 {
				t.Fatalf("%+v, %v", counts, err)
			}
			if err := change(target, ids[0]); err != nil {
				t.Fatal(err)
			}
			_, err := migration.Compare(t.Context(), source.Storage, target.Storage)
			if d := (*migration.DifferenceError)(nil); !errors.As(err, &d) || d.What != name {
				t.Errorf("%v", err)
			}
		})
	}
}
