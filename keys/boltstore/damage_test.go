package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// dump returns the whole content of a store.
func dump(ctx context.Context, s *Store) (text string, err error) {
	var b bytes.Buffer
	_, errAll := s.All(ctx, func(r *registry.Record) error {
		for d := range r.Digests() {
			owner, err := s.ByDigest(ctx, d)
			if err != nil {
				return err
			}
			fmt.Fprintln(&b, d.Hex(), owner.ID)
		}
		_, err := fmt.Fprintf(&b, "%+v\n", *r)
		return err
	})
	revision, errChanges := s.Changes(ctx, 0, func(r *registry.Record) error {
		entries, err := s.Audit(ctx, r.ID, 0, 10)
		fmt.Fprintln(&b, r.ID, entries)
		return err
	})
	entries, errAudit := s.Audit(ctx, "", 0, 10_000)
	note, errNote := s.GetIdempotencyRecord(ctx, "note")
	fmt.Fprintln(&b, revision, entries, note)
	errUse := s.Use(ctx, func(r usage.Row) error { _, err := fmt.Fprintln(&b, r); return err })
	errQuotas := s.Quotas(ctx, func(r quota.Row) error { _, err := fmt.Fprintln(&b, r); return err })
	return b.String(), errors.Join(errAll, errChanges, errAudit, errNote, errUse, errQuotas)
}

// In a copy of the file one bit in each 256 bytes of the used pages is flipped. Either Open detects it, or the content is
// unaffected.
func TestFlippedBits(t *testing.T) {
	path, _ := newStoreFile(t, 200)
	s := openStore(t, path)
	if err := s.SaveUse(t.Context(), []usage.Row{{ID: "key_1", LastUsed: 5}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveQuotas(t.Context(), []quota.Row{{ID: "key_1", Day: 5, QuestionsDay: 7}}, nil); err != nil {
		t.Fatal(err)
	}
	want, err := dump(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content := bytes.TrimRight(readFile(t, path), "\x00")
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const step = 256
	found, harmless := 0, 0
	for from := 0; from < len(content); from += step {
		at := min(from+rand.IntN(step), len(content)-1)
		flipped := []byte{content[at] ^ 1<<rand.IntN(8)}
		if _, err := file.WriteAt(flipped, int64(at)); err != nil {
			t.Fatal(err)
		}
		switch err := verifyFile(t.Context(), file); { // the first step of Open
		case err == nil:
			harmless++
			s, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Fatalf("byte %d: %v", at, err)
			}
			got, err := dump(t.Context(), s)
			if err := errors.Join(err, s.Close()); err != nil || got != want {
				t.Errorf("byte %d, %x for %x: the store was opened with another content: %v", at, flipped, content[at], err)
			}
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer):
			found++
		default:
			t.Errorf("byte %d, %x for %x: error %v, want %v", at, flipped, content[at], err, ErrDamaged)
		}
		if _, err := file.WriteAt(content[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if found < harmless/2 || found < 50 {
		t.Errorf("%d flips were detected, %d were harmless: too few for a meaningful test", found, harmless)
	}
	if got := bytes.TrimRight(readFile(t, path), "\x00"); !bytes.Equal(got, content) {
		t.Error("Open has modified the file")
	}
}

// The file is damaged while it is open, so bbolt reads damage that Open would have detected.
func TestDamageWhileOpen(t *testing.T) {
	for name, damage := range map[string]func(file *os.File, content []byte) error{
		"pages of zeros": func(file *os.File, content []byte) error {
			_, err := file.WriteAt(make([]byte, len(content)-2*os.Getpagesize()), int64(2*os.Getpagesize()))
			return err
		},
		"pages of noise": func(file *os.File, content []byte) error {
			noise := make([]byte, len(content)-2*os.Getpagesize())
			for i := range noise {
				noise[i] = byte(rand.Uint32())
			}
			_, err := file.WriteAt(noise, int64(2*os.Getpagesize()))
			return err
		},
		"truncated": func(file *os.File, _ []byte) error { return file.Truncate(int64(2 * os.Getpagesize())) },
		"emptied":   func(file *os.File, _ []byte) error { return file.Truncate(0) },
	} {
		t.Run(name, func(t *testing.T) {
			path, content := newStoreFile(t, 300)
			s := openStore(t, path)
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := damage(file, content); err != nil {
				t.Fatal(err)
			}
			if _, err := dump(t.Context(), s); !errors.Is(err, ErrDamaged) {
				t.Errorf("reading: error %v, want %v", err, ErrDamaged)
			}
			if err := s.Write(t.Context(), []*registry.Record{record(1000)}, nil); err == nil {
				t.Error("a write succeeded")
			}
		})
	}
}

// Rows with valid checksums but inconsistent contents, which only a bug could write.
func TestInconsistentRows(t *testing.T) {
	path, _ := newStoreFile(t, 3)
	digest := record(1).Digest
	editFile(t, path, putRow(bucketDigests, digest[:], addChecksum(digest[:], []byte(record(2).ID))))
	s := openStore(t, path)
	if _, err := s.ByDigest(t.Context(), digest); !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want %v", err, ErrDamaged)
	}
	// Other rows are not affected.
	if _, err := s.ByDigest(t.Context(), record(2).Digest); err != nil {
		t.Error(err)
	}
}

func TestBackup(t *testing.T) {
	s := openStore(t, newPath(t))
	fill(t, s, 500)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 500; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			r := record(n)
			if err := s.Write(t.Context(), []*registry.Record{r}, []*registry.AuditEntry{entry(r, registry.ActionCreated)}); err != nil {
				t.Errorf("writing: %v", err)
			}
		}
	}()
	var last uint64
	for round := range 5 {
		before, err := count(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), fmt.Sprint("copy", round))
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Backup(t.Context(), file), file.Close()); err != nil {
			t.Fatal(err)
		}
		backup := openStore(t, path) // Open verifies it
		n, err := count(t.Context(), backup)
		if err != nil || n < before {
			t.Errorf("the copy has %d records; %d existed before the backup; %v", n, before, err)
		}
		entries, err := backup.Audit(t.Context(), "", 0, 1)
		if err != nil || len(entries) != 1 || entries[0].Seq != uint64(n) || entries[0].Seq < last {
			t.Errorf("%d records, but the newest entry is %+v; %v", n, entries, err)
		}
		last = entries[0].Seq
		write := record(1_000_000)
		if err := backup.Write(t.Context(), []*registry.Record{write}, nil); err != nil {
			t.Errorf("writing to the copy: %v", err)
		}
	}
	close(stop)
	<-stopped
}

func TestBackupWriteError(t *testing.T) {
	s := openStore(t, newPath(t))
	errWrite := errors.New("write error")
	if err := s.Backup(t.Context(), writerFunc(func([]byte) (int, error) { return 0, errWrite })); !errors.Is(err, errWrite) {
		t.Errorf("error %v, want %v", err, errWrite)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
