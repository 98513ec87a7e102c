package storagetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
)

func auditPages(t *testing.T, s registry.Storage) {
	want := make([]*registry.AuditEntry, 25)
	for i := range want {
		want[i] = entry(fmt.Sprintf("key_%d", i%3), registry.ActionRotated)
		want[i].Detail = fmt.Sprintf("the %d. change", i)
	}
	want[7].Key, want[7].Name, want[7].Action = "", "", registry.ActionExported
	for part := range slices.Chunk(want, 4) {
		if err := s.Write(t.Context(), nil, part); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range want {
		if e.Seq != want[0].Seq+uint64(i) {
			t.Fatalf("entry %d has sequence %d, the first %d", i, e.Seq, want[0].Seq)
		}
	}
	slices.Reverse(want)
	got, before := []registry.AuditEntry(nil), uint64(0)
	for {
		page := entries(t, s, "", before, 10)
		if len(page) == 0 {
			break
		}
		got, before = append(got, page...), page[len(page)-1].Seq
	}
	wantEntries(t, got, want)
	if found := entries(t, s, "", 0, 0); len(found) != 0 {
		t.Errorf("%d entries with limit 0", len(found))
	}
	if found := entries(t, s, "", want[0].Seq+100, 1); len(found) != 1 || found[0].Seq != want[0].Seq {
		t.Errorf("before a future entry: %d entries", len(found))
	}
}

func auditOfKey(t *testing.T, s registry.Storage) {
	ids := []string{"key_1", "key_", "key_11", "key_1", "key_2", "", "key_1"}
	byID := make(map[string][]*registry.AuditEntry)
	for _, id := range ids {
		e := entry(id, registry.ActionChanged)
		if err := s.Write(t.Context(), nil, []*registry.AuditEntry{e}); err != nil {
			t.Fatal(err)
		}
		byID[id] = slices.Insert(byID[id], 0, e)
	}
	for _, id := range []string{"key_1", "key_", "key_11", "key_2"} {
		wantEntries(t, entries(t, s, id, 0, 100), byID[id])
	}
	three := byID["key_1"]
	wantEntries(t, entries(t, s, "key_1", three[0].Seq, 1), three[1:2])
	wantEntries(t, entries(t, s, "key_1", three[2].Seq, 1), nil)
	wantEntries(t, entries(t, s, "key_3", 0, 100), nil)
	wantEntries(t, entries(t, s, "aaa", 0, 100), nil)
}

func wantEntries(t *testing.T, got []registry.AuditEntry, want []*registry.AuditEntry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := *want[i]
		if !g.At.Equal(w.At) {
			t.Errorf("entry %d has the time %v, want %v", g.Seq, g.At, w.At)
		}
		if g.At = w.At; g != w {
			t.Errorf("entry is %+v, want %+v", g, w)
		}
	}
}
