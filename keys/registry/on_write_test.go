package registry_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
)

// OnWrite is told of each entry that is stored, and of each failure of the storage.
func TestOnWrite(t *testing.T) {
	var stored []registry.Action
	failures := 0
	storage := memstorage.New()
	r, err := registry.New(registry.Options{Storage: storage, OnWrite: func(entries []*registry.AuditEntry, err error) {
		if err != nil {
			failures++
			return
		}
		for _, e := range entries {
			stored = append(stored, e.Action)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	create := func() (*registry.CreateResult, error) {
		return r.Create(t.Context(), alice, registry.CreateRequest{Name: "Docs", Sources: []string{sourceID}})
	}
	created, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rotate(t.Context(), alice, created.Record.ID, 0); err != nil {
		t.Fatal(err)
	}
	if want := []registry.Action{registry.ActionCreated, registry.ActionRotated}; !slices.Equal(stored, want) || failures != 0 {
		t.Errorf("stored %v and %d failures, want %v", stored, failures, want)
	}

	full := errors.New("the disk is full")
	storage.Fail(full)
	if _, err := create(); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if failures != 1 {
		t.Errorf("%d failures, want 1", failures)
	}
	for _, others := range []error{registry.ErrConflict, registry.ErrExists, context.Canceled} {
		ctx, cancel := context.WithCancel(t.Context())
		if errors.Is(others, context.Canceled) {
			cancel()
		}
		storage.Fail(others)
		if _, err := r.Create(ctx, alice, registry.CreateRequest{Name: "Docs", Sources: []string{sourceID}}); err == nil {
			t.Errorf("%v: no error", others)
		}
		cancel()
	}
	if failures != 1 {
		t.Errorf("%d failures: a conflict and a canceled request are none", failures)
	}
}
