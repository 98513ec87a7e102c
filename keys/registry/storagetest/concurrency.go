package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

func concurrentWrites(t *testing.T, s registry.Storage) {
	const writers, each = 16, 20
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				r := record(fmt.Sprintf("key_%02d_%02d", w, i))
				if i%5 == 4 { // an invalid write must not affect others
					r.Digest = digest(fmt.Sprintf("token of key_%02d_00", w))
					if err := s.Write(t.Context(), []*registry.Record{r}, nil); !errors.Is(err, registry.ErrExists) {
						t.Errorf("a token in use: error %v, want %v", err, registry.ErrExists)
					}
					continue
				}
				e := entry(r.ID, registry.ActionCreated)
				if err := s.Write(t.Context(), []*registry.Record{r}, []*registry.AuditEntry{e}); err != nil {
					t.Errorf("a valid write: %v", err)
				}
				if found, err := s.Get(t.Context(), r.ID); err != nil || found.Revision != r.Revision {
					t.Errorf("reading the record after its write: %v", err)
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

func concurrentConflict(t *testing.T, s registry.Storage) {
	r := record("key_a")
	write(t, s, r)
	var (
		group   sync.WaitGroup
		mu      sync.Mutex
		written []string
	)
	for i := range 16 {
		group.Go(func() {
			mine := *r
			mine.Name = fmt.Sprint("by ", i)
			switch err := s.Write(t.Context(), []*registry.Record{&mine}, nil); {
			case err == nil:
				mu.Lock()
				written = append(written, mine.Name)
				mu.Unlock()
			case !errors.Is(err, registry.ErrConflict):
				t.Errorf("error %v, want %v", err, registry.ErrConflict)
			}
		})
	}
	group.Wait()
	if name := get(t, s, r.ID).Name; len(written) != 1 || written[0] != name {
		t.Errorf("written: %v, stored: %q", written, name)
	}
}

func atomicWrites(t *testing.T, s registry.Storage) {
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
			t.Fatalf("partial write: %d records, revisions %d and %d", len(found), newest, revision)
		}
	}
}

func canceledContext(t *testing.T, s registry.Storage) {
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

func closedStorage(t *testing.T, s registry.Storage) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range calls(t.Context(), s) {
		if err == nil || errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s after Close: error %v", name, err)
		}
	}
}

// calls calls each method once.
func calls(ctx context.Context, s registry.Storage) map[string]error {
	_, all := s.All(ctx, func(*registry.Record) error { return nil })
	_, changes := s.Changes(ctx, 0, func(*registry.Record) error { return nil })
	_, get := s.Get(ctx, "key_a")
	_, byDigest := s.ByDigest(ctx, digest("a"))
	_, audit := s.Audit(ctx, "", 0, 10)
	_, getRecord := s.GetIdempotencyRecord(ctx, "name")
	return map[string]error{
		"All": all, "Changes": changes, "Get": get, "ByDigest": byDigest, "Audit": audit, "GetIdempotencyRecord": getRecord,
		"Write":                s.Write(ctx, []*registry.Record{record("key_a")}, nil),
		"PutIdempotencyRecord": s.PutIdempotencyRecord(ctx, "name", "text"),
		"SaveUse":              s.SaveUse(ctx, []usage.Row{{ID: "key_a"}}),
		"Use":                  s.Use(ctx, func(usage.Row) error { return nil }),
		"Backup":               s.Backup(ctx, io.Discard),
	}
}
