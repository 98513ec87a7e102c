package storagetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

func untrustedText(t *testing.T, s registry.Storage) {
	texts := []string{
		strings.Repeat("x", 10_000), "<script>alert(1)</script>", "'; drop table keys; --", "\u202eright to left \u0627",
		"\U0001f511\u0301", " ", "%s%d", `\`,
	}
	for i, text := range texts {
		r := record(fmt.Sprintf("key_%d", i))
		r.Name, r.Sources, r.Prompt = text, []string{text, "other"}, text
		e := entry(r.ID, registry.ActionChanged)
		e.Actor, e.RemoteAddr, e.Name, e.Detail = text, text, text, text
		if err := s.Write(t.Context(), []*registry.Record{r}, []*registry.AuditEntry{e}); err != nil {
			t.Errorf("a name of %.20q: %v", text, err)
			continue
		}
		wantEqual(t, get(t, s, r.ID), r)
		wantEntries(t, entries(t, s, r.ID, 0, 10), []*registry.AuditEntry{e})
	}
}

func noAliasing(t *testing.T, s registry.Storage) {
	r := fullRecord()
	want := *fullRecord()
	write(t, s, r)
	want.Revision = r.Revision
	modify := func(r *registry.Record) {
		r.Sources[0], r.PreviousTokens[0].Digest, r.Name = "modified", keys.Digest{1}, "modified"
	}
	modify(r)
	first := get(t, s, want.ID)
	wantEqual(t, first, &want)
	modify(first)
	found, _ := all(t, s)
	wantEqual(t, found[0], &want)
	write(t, s, record("key_z")) // must not modify records that were read
	wantEqual(t, found[0], &want)
}
