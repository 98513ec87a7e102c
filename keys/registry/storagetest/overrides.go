package storagetest

import (
	"errors"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

func storedOverrides(t *testing.T, s registry.Storage) {
	list := func() (all []registry.Override) {
		t.Helper()
		if err := s.Overrides(t.Context(), func(o *registry.Override) error {
			all = append(all, *o)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	store := func(o *registry.Override) error {
		e := &registry.AuditEntry{At: start, Action: registry.ActionChanged, Key: o.ID}
		err := s.WriteOverride(t.Context(), o, e)
		if err == nil && e.Seq == 0 {
			t.Error("the entry has no sequence")
		}
		return err
	}
	if all := list(); len(all) != 0 {
		t.Fatalf("an empty storage has %v", all)
	}
	full := &registry.Override{ID: "agent_b", Disabled: true, Policy: fullPolicy(), Signing: fullSigning(), Changed: start}
	bare := &registry.Override{ID: "agent_a", Disabled: true, Changed: start.Add(time.Second)}
	for _, o := range []*registry.Override{full, bare} {
		if err := store(o); err != nil || o.Revision == 0 {
			t.Fatalf("%s: revision %d, %v", o.ID, o.Revision, err)
		}
	}
	if full.Revision == bare.Revision {
		t.Error("two overrides have the same revision")
	}
	for i, want := range []*registry.Override{bare, full} {
		if got := list()[i]; got.ID != want.ID || got.Disabled != want.Disabled || !got.Policy.Equal(want.Policy) ||
			!got.Signing.Equal(want.Signing) ||
			!got.Changed.Equal(want.Changed) || got.Revision != want.Revision {
			t.Errorf("stored %+v, want %+v", got, want)
		}
	}
	for what, o := range map[string]registry.Override{
		"a new one that exists":  {ID: "agent_a", Disabled: true},
		"an outdated revision":   {ID: "agent_a", Disabled: true, Revision: bare.Revision + 100},
		"one that is not stored": {ID: "agent_c", Disabled: true, Revision: full.Revision},
	} {
		if err := store(&o); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	full.Disabled = false
	if err := store(full); err != nil || list()[1].Disabled {
		t.Errorf("replaced: %v, %+v", err, list()[1])
	}
	bare.Disabled = false
	if err := store(bare); err != nil || len(list()) != 1 || bare.Revision != 0 {
		t.Errorf("removed: %v, revision %d, %v", err, bare.Revision, list())
	}
	if entries, err := s.Audit(t.Context(), "agent_a", 0, 10); err != nil || len(entries) != 2 {
		t.Errorf("%d audit entries, %v", len(entries), err)
	}
	// A write of a record afterwards has a newer revision.
	r := record("key_a")
	write(t, s, r)
	if r.Revision <= full.Revision {
		t.Errorf("the record has revision %d, the override %d", r.Revision, full.Revision)
	}
}
