package boltseries

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/series/seriestest"
)

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	seriestest.Run(t, func(t *testing.T) series.Storage { return openAt(t, filepath.Join(t.TempDir(), "new", "usage.db")) })
}

func requestsAt(t *testing.T, s *Store, key string, minute int64) (n uint64) {
	t.Helper()
	if err := s.Buckets(t.Context(), key, series.Minutes, minute, minute, func(_ int64, c *series.Counts) error {
		n = c[series.Requests]
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReopen(t *testing.T) {
	path, minute := filepath.Join(t.TempDir(), "usage.db"), time.Now().Unix()/60
	s := openAt(t, path)
	batch := countersync.Batch[series.Row]{Writer: "one", Seq: 1, Deltas: []series.Row{{Key: "a", Minute: minute, Counts: series.Counts{3}}}}
	if err := s.Add(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	if err := s.Add(t.Context(), batch); err != nil { // as after a crash before the writer knew
		t.Fatal(err)
	}
	if n := requestsAt(t, s, "a", minute); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestTooManyRows(t *testing.T) {
	s, now := openAt(t, filepath.Join(t.TempDir(), "usage.db")), time.Now()
	s.maxRows = 10
	minute := now.Unix() / 60
	b := countersync.Batch[series.Row]{Writer: "one", Seq: 1}
	for i := range int64(25) {
		b.Deltas = append(b.Deltas, series.Row{Key: fmt.Sprint("key_", i%5), Minute: minute - i/5, Counts: series.Counts{1}})
	}
	if err := s.Add(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if more, err := s.Prune(t.Context(), now); err != nil || more {
		t.Fatal(more, err)
	}
	for age, want := range []uint64{1, 1, 0, 0, 0} {
		if n := requestsAt(t, s, "key_3", minute-int64(age)); n != want {
			t.Errorf("%d minutes ago: %d requests, want %d", age, n, want)
		}
	}
}

func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	// Pages that are overwritten while the file is open.
	path = filepath.Join(t.TempDir(), "usage.db")
	s := openAt(t, path)
	minute := time.Now().Unix() / 60
	b := countersync.Batch[series.Row]{Writer: "one", Seq: 1}
	for i := range 2000 {
		b.Deltas = append(b.Deltas, series.Row{Key: fmt.Sprint("key_", i), Minute: minute, Counts: series.Counts{1}})
	}
	if err := s.Add(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	garbage := []byte(strings.Repeat("\xff", int(info.Size())-2*4096))
	if _, err := file.WriteAt(garbage, 2*4096); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Top(t.Context(), series.Minutes, 0, minute, 5); !errors.Is(err, ErrDamaged) {
		t.Errorf("reading a damaged file: %v", err)
	}
	b.Seq = 2
	if err := s.Add(t.Context(), b); !errors.Is(err, ErrDamaged) {
		t.Errorf("writing a damaged file: %v", err)
	}
}
