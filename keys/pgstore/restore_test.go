package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/migration"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/usage"
)

// stopping is a source that calls stop after some records.
type stopping struct {
	registry.Source
	after int
	stop  func() error
}

func (s *stopping) All(ctx context.Context, yield func(*registry.Record) error) (uint64, error) {
	return s.Source.All(ctx, func(r *registry.Record) error {
		if s.after--; s.after < 0 {
			if err := s.stop(); err != nil {
				return err
			}
		}
		return yield(r)
	})
}

// A restored store has everything, and an interrupted restoration has no effect on the keys and can be repeated.
func TestRestore(t *testing.T) {
	const count = 1500 // more than one chunk
	source := memstorage.New()
	for i := range count {
		write(t, source, record(fmt.Sprintf("key_%04d", i)))
	}
	if err := source.WriteOverride(t.Context(), &registry.Override{ID: "agent_1", Disabled: true, Changed: testTime},
		&registry.AuditEntry{At: testTime, Action: registry.ActionDisabled, Key: "agent_1"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(source.SaveUse(t.Context(), []usage.Row{{ID: "key_0001", LastUsed: 1}}),
		source.SaveQuotas(t.Context(), []quota.Row{{ID: "key_0001", Day: 1, QuestionsDay: 3}}, nil)); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(pgtest.Database(t)))

	failed := errors.New("the source cannot be read")
	if _, err := s.Restore(t.Context(), &stopping{source, count - 1, func() error { return failed }}); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Restore(ctx, &stopping{source, count - 1, func() error { cancel(); return nil }}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n, err := s.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("an interrupted restoration has left %d keys, %v", n, err)
	}

	counts, err := s.Restore(t.Context(), source)
	if want := (migration.Counts{Keys: count, Overrides: 1, Entries: count + 1, Usage: 1, Quotas: 1}); err != nil || counts != want {
		t.Fatalf("%+v, %v", counts, err)
	}
	if _, err := migration.Compare(t.Context(), source, s); err != nil {
		t.Error(err)
	}
	if _, err := s.Restore(t.Context(), source); !errors.Is(err, registry.ErrNotEmpty) {
		t.Errorf("a second restoration: %v", err)
	}
	// The revisions continue, so that other gates follow.
	write(t, s, record("key_new"))
	changed := 0
	if _, err := s.Changes(t.Context(), count+1, func(*registry.Record) error { changed++; return nil }); err != nil || changed != 1 {
		t.Errorf("%d changes after the restoration, %v", changed, err)
	}
}
