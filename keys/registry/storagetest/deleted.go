package storagetest

import (
	"slices"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// deletedRecords deletes one of two records that have usage and quotas.
func deletedRecords(t *testing.T, s registry.Storage) {
	r, other := fullRecord(), record("key_other")
	write(t, s, r, other)
	rows := []usage.Row{{ID: r.ID, LastUsed: 5}, {ID: other.ID, LastUsed: 6}}
	if err := s.SaveUse(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveQuotas(t.Context(), []quota.Row{{ID: r.ID, Day: 1}, {ID: other.ID, Day: 2}}, nil); err != nil {
		t.Fatal(err)
	}
	_, before := all(t, s)
	deleted := &registry.Record{
		ID: r.ID, Digest: r.Digest, State: keys.Revoked, Created: r.Created, Changed: start.Add(time.Hour), Deleted: start.Add(time.Hour),
		Revision: r.Revision,
	}
	write(t, s, deleted)
	wantEqual(t, get(t, s, r.ID), deleted)
	if ids, _ := changed(t, s, before); !slices.Equal(ids, []string{r.ID}) {
		t.Errorf("changed: %v, want the deleted record", ids)
	}
	found, err := s.ByDigest(t.Context(), r.Digest)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, found, deleted)
	_, err = s.ByDigest(t.Context(), digest("old 1"))
	wantError(t, err, registry.ErrNotFound)

	sameID, sameToken := record(r.ID), record("key_new")
	sameID.Digest, sameToken.Digest = digest("another"), r.Digest
	wantError(t, s.Write(t.Context(), []*registry.Record{sameID}, nil), registry.ErrExists)
	wantError(t, s.Write(t.Context(), []*registry.Record{sameToken}, nil), registry.ErrExists)

	if err := s.Use(t.Context(), func(row usage.Row) error {
		if row != rows[1] {
			t.Errorf("usage of %s is stored", row.ID)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if got := storedQuotas(t, s); len(got) != 1 || got[0].ID != other.ID {
		t.Errorf("stored quotas: %v, want those of %s", got, other.ID)
	}
}
