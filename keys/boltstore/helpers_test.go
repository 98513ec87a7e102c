package boltstore

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/storagetest"
)

// TestMain also runs the helper processes of tests; see helperProcesses.
func TestMain(m *testing.M) {
	if run := helperProcesses[os.Getenv(helperProcessEnv)]; run != nil {
		os.Exit(run())
	}
	goleak.VerifyTestMain(m)
}

func TestStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) registry.Storage { return openStore(t, newPath(t)) })
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "docsgate", "keys.db") }

// openStore opens a store and closes it at the end of the test.
func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

var testTime = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// record returns a typical record.
func record(n int) *registry.Record {
	return &registry.Record{
		ID: fmt.Sprintf("key_%026d", n), Name: fmt.Sprintf("Documentation site %d", n),
		Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}, Hint: "a1B2",
		Digest:  keys.DigestOf(fmt.Sprint("token ", n)),
		Created: testTime, Changed: testTime, Expires: testTime.AddDate(1, 0, 0),
	}
}

func entry(r *registry.Record, action registry.Action) *registry.AuditEntry {
	return &registry.AuditEntry{At: testTime, Actor: "alice", RemoteAddr: "192.0.2.1", Action: action, Key: r.ID, Name: r.Name}
}

// fill writes n records with one audit entry each.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	const batch = 1000
	for from := 0; from < n; from += batch {
		var records []*registry.Record
		var entries []*registry.AuditEntry
		for i := from; i < min(n, from+batch); i++ {
			r := record(i)
			records, entries = append(records, r), append(entries, entry(r, registry.ActionCreated))
		}
		if err := s.Write(t.Context(), records, entries); err != nil {
			t.Fatal(err)
		}
	}
}
