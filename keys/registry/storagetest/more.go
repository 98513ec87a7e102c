package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

func audit(t *testing.T, s registry.Storage) {
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
		t.Errorf("before one that is to come: %d entries", len(found))
	}
}

func wantEntries(t *testing.T, got []registry.AuditEntry, want []*registry.AuditEntry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := *want[i]
		if !g.At.Equal(w.At) {
			t.Errorf("entry %d is of %v, want %v", g.Seq, g.At, w.At)
		}
		if g.At = w.At; g != w {
			t.Errorf("entry is %+v, want %+v", g, w)
		}
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

func notes(t *testing.T, s registry.Storage) {
	recall := func(name string) string {
		text, err := s.GetIdempotencyRecord(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, n := range [][2]string{{"a", "one"}, {"b", "two"}, {"a", "three"}, {"a/b", "four"}} {
		if err := s.PutIdempotencyRecord(t.Context(), n[0], n[1]); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"a": "three", "b": "two", "a/b": "four", "c": ""} {
		if got := recall(name); got != want {
			t.Errorf("note %q is %q, want %q", name, got, want)
		}
	}
}

func use(t *testing.T, s registry.Storage) {
	rows := []usage.Row{
		{ID: "key_a", LastUsed: 29_000_000, OldLastUsed: 28_999_999, Hour: 483_333},
		{ID: "key_b"},
	}
	for i := range rows[0].Requests {
		rows[0].Requests[i] = uint32(i) * 178_956_970
	}
	rows[1].Requests[3] = 7
	save := func(rows ...usage.Row) {
		if err := s.SaveUse(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	wantUse := func(want ...usage.Row) {
		t.Helper()
		var got []usage.Row
		if err := s.Use(t.Context(), func(r usage.Row) error { got = append(got, r); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, func(a, b usage.Row) int { return strings.Compare(a.ID, b.ID) })
		if !slices.Equal(got, want) {
			t.Errorf("use is\n%v, want\n%v", got, want)
		}
	}
	wantUse()
	save()
	save(rows...)
	wantUse(rows...)
	rows[1] = usage.Row{ID: "key_b", LastUsed: 5}
	save(rows[1])
	wantUse(rows...)
	own := errors.New("own")
	if err := s.Use(t.Context(), func(usage.Row) error { return own }); err != own { //nolint:errorlint // it is to be the very one
		t.Errorf("an error of yield became %v", err)
	}
	many := make([]usage.Row, 10_000)
	for i := range many {
		many[i] = usage.Row{ID: fmt.Sprintf("key_%05d", i), LastUsed: int64(i), Hour: 1}
	}
	slices.Reverse(many)
	save(many...)
	slices.Reverse(many)
	wantUse(append(many, rows...)...)
}

func parallelWrites(t *testing.T, s registry.Storage) {
	const writers, each = 16, 20
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				r := record(fmt.Sprintf("key_%02d_%02d", w, i))
				if i%5 == 4 { // a bad one in between is nobody else's fault
					r.Digest = digest(fmt.Sprintf("token of key_%02d_00", w))
					if err := s.Write(t.Context(), []*registry.Record{r}, nil); !errors.Is(err, registry.ErrExists) {
						t.Errorf("a taken token: error %v, want %v", err, registry.ErrExists)
					}
					continue
				}
				e := entry(r.ID, registry.ActionCreated)
				if err := s.Write(t.Context(), []*registry.Record{r}, []*registry.AuditEntry{e}); err != nil {
					t.Errorf("a good write: %v", err)
				}
				// Whoever has its answer finds its write.
				if found, err := s.Get(t.Context(), r.ID); err != nil || found.Revision != r.Revision {
					t.Errorf("reading what was just written: %v", err)
				}
			}
		})
	}
	group.Wait()
	const stored = writers * each * 4 / 5
	found, _ := all(t, s)
	seen := make(map[uint64]bool)
	for _, r := range found {
		seen[r.Revision] = true
		if n := len(entries(t, s, r.ID, 0, 10)); n != 1 {
			t.Errorf("%s has %d entries", r.ID, n)
		}
	}
	if len(found) != stored || len(seen) != stored {
		t.Errorf("%d records with %d revisions, want %d", len(found), len(seen), stored)
	}
}

func parallelConflict(t *testing.T, s registry.Storage) {
	r := record("key_a")
	write(t, s, r)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		won   []string
	)
	for i := range 16 {
		group.Go(func() {
			mine := *r
			mine.Name = fmt.Sprint("by ", i)
			switch err := s.Write(t.Context(), []*registry.Record{&mine}, nil); {
			case err == nil:
				mu.Lock()
				won = append(won, mine.Name)
				mu.Unlock()
			case !errors.Is(err, registry.ErrConflict):
				t.Errorf("error %v, want %v", err, registry.ErrConflict)
			}
		})
	}
	group.Wait()
	if name := get(t, s, r.ID).Name; len(won) != 1 || won[0] != name {
		t.Errorf("won: %v, stored: %q", won, name)
	}
}

func wholeWrites(t *testing.T, s registry.Storage) {
	a, b := record("key_a"), record("key_b")
	write(t, s, a, b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			a.Name, b.Name = fmt.Sprint(i), fmt.Sprint(i)
			if err := s.Write(t.Context(), []*registry.Record{a, b}, nil); err != nil {
				t.Errorf("writing: %v", err)
			}
		}
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		found, revision := all(t, s)
		newest := uint64(0)
		for _, r := range found {
			newest = max(newest, r.Revision)
		}
		if len(found) != 2 || found[0].Name != found[1].Name && found[0].Name != "name of key_a" || newest != revision {
			t.Fatalf("half a write: %d records, revision %d and %d", len(found), newest, revision)
		}
	}
}

func endedContext(t *testing.T, s registry.Storage) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range calls(ctx, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want %v", name, err, context.Canceled)
		}
	}
	if found, _ := all(t, s); len(found) != 0 {
		t.Errorf("%d records were stored", len(found))
	}
}

func closed(t *testing.T, s registry.Storage) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range calls(t.Context(), s) {
		if err == nil || errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s after closing: error %v", name, err)
		}
	}
}

// calls makes each call once.
func calls(ctx context.Context, s registry.Storage) map[string]error {
	_, all := s.All(ctx, func(*registry.Record) error { return nil })
	_, changes := s.Changes(ctx, 0, func(*registry.Record) error { return nil })
	_, get := s.Get(ctx, "key_a")
	_, byDigest := s.ByDigest(ctx, digest("a"))
	_, audit := s.Audit(ctx, "", 0, 10)
	_, recall := s.GetIdempotencyRecord(ctx, "note")
	return map[string]error{
		"All": all, "Changes": changes, "Get": get, "ByDigest": byDigest, "Audit": audit, "Recall": recall,
		"Write":    s.Write(ctx, []*registry.Record{record("key_a")}, nil),
		"Remember": s.PutIdempotencyRecord(ctx, "note", "text"),
		"SaveUse":  s.SaveUse(ctx, []usage.Row{{ID: "key_a"}}),
		"Use":      s.Use(ctx, func(usage.Row) error { return nil }),
		"Backup":   s.Backup(ctx, io.Discard),
	}
}

func backup(t *testing.T, s registry.Storage) {
	write(t, s, record("key_a"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		r := record("key_b")
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.Write(t.Context(), []*registry.Record{r}, nil); err != nil {
					t.Errorf("writing: %v", err)
					return
				}
			}
		}
	}()
	var copied bytes.Buffer
	err := s.Backup(t.Context(), &copied)
	close(stop)
	<-stopped
	if err != nil || copied.Len() == 0 {
		t.Errorf("backup of %d bytes, error %v", copied.Len(), err)
	}
	if token := digest("token of key_a"); !bytes.Contains(copied.Bytes(), []byte("key_a")) && !bytes.Contains(copied.Bytes(), token[:]) {
		t.Error("the backup does not seem to hold the key")
	}
}

func hostile(t *testing.T, s registry.Storage) {
	texts := []string{
		strings.Repeat("x", 10_000), "<script>alert(1)</script>", "'; drop table keys; --", "\u202eright to left \u0627",
		"\U0001f511\u0301", " ", "%s%d", `\`,
	}
	for i, text := range texts {
		r := record(fmt.Sprintf("key_%d", i))
		r.Name, r.Sources, r.Prompt = text, []string{text, "other"}, text
		e := entry(r.ID, registry.ActionChanged)
		e.Who, e.From, e.Name, e.Detail = text, text, text, text
		if err := s.Write(t.Context(), []*registry.Record{r}, []*registry.AuditEntry{e}); err != nil {
			t.Errorf("a name of %.20q: %v", text, err)
			continue
		}
		wantSame(t, get(t, s, r.ID), r)
		wantEntries(t, entries(t, s, r.ID, 0, 10), []*registry.AuditEntry{e})
	}
}

func nothingShared(t *testing.T, s registry.Storage) {
	r := full()
	want := *full()
	write(t, s, r)
	want.Revision = r.Revision
	spoil := func(r *registry.Record) {
		r.Sources[0], r.Old[0].Digest, r.Name = "spoilt", keys.Digest{1}, "spoilt"
	}
	spoil(r)
	first := get(t, s, want.ID)
	wantSame(t, first, &want)
	spoil(first)
	found, _ := all(t, s)
	wantSame(t, found[0], &want)
	write(t, s, record("key_z")) // what was read stays as it was
	wantSame(t, found[0], &want)
}
