package boltstore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/docsgate/docsgate/keys/registry"
)

// newStoreFile creates a store with n keys and returns the path and content of its file.
func newStoreFile(t *testing.T, n int) (path string, content []byte) {
	t.Helper()
	path = newPath(t)
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, n)
	for i := range min(n, 20) { // frees some pages
		r, err := s.Get(t.Context(), record(i).ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), []*registry.Record{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.PutIdempotencyRecord(t.Context(), "note", "text"), s.Close()); err != nil {
		t.Fatal(err)
	}
	return path, readFile(t, path)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// editFile modifies a file with bbolt.
func editFile(t *testing.T, path string, f func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func putRow(bucket int, key, value []byte) func(tx *bolt.Tx) error {
	return func(tx *bolt.Tx) error { return tx.Bucket(bucketNames[bucket]).Put(key, value) }
}

func TestOpenCreatesFileAndFolder(t *testing.T) {
	path := newPath(t)
	openStore(t, path)
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v; %v", name, info.Mode(), want, err)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("%d files, want only the store; %v", len(files), err)
	}
}

func TestOpenRejectsFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(t *testing.T, path string, content []byte)
		want   error
		msg    string
	}{
		"newer major version": {want: ErrNewer, msg: "format 2.7, but this version of docsgate supports 1.3; the file was not modified", damage: func(t *testing.T, path string, _ []byte) {
			editFile(t, path, putRow(bucketMeta, rowFormat, addChecksum(rowFormat, formatBody(2, 7))))
		}},
		"newer major version with unknown rows and buckets": {want: ErrNewer, msg: "format 9.0", damage: func(t *testing.T, path string, _ []byte) {
			editFile(t, path, func(tx *bolt.Tx) error {
				for _, name := range bucketNames[1:] {
					if err := tx.DeleteBucket(name); err != nil {
						return err
					}
				}
				return errors.Join(putRow(bucketMeta, rowState, []byte("x"))(tx), putRow(bucketMeta, rowFormat, addChecksum(rowFormat, formatBody(9, 0)))(tx))
			})
		}},
		"empty": {want: ErrDamaged, msg: "the file is empty", damage: func(t *testing.T, path string, _ []byte) {
			overwrite(t, path, nil)
		}},
		"a few bytes": {want: ErrDamaged, msg: "too short", damage: func(t *testing.T, path string, _ []byte) {
			overwrite(t, path, []byte("x"))
		}},
		"text": {want: ErrDamaged, msg: "not a bbolt file", damage: func(t *testing.T, path string, _ []byte) {
			overwrite(t, path, bytes.Repeat([]byte("keys:\n"), 10_000))
		}},
		"zeros": {want: ErrDamaged, msg: "not a bbolt file", damage: func(t *testing.T, path string, content []byte) {
			overwrite(t, path, make([]byte, len(content)))
		}},
		"bbolt file of another program": {want: ErrDamaged, msg: "another program", damage: func(t *testing.T, path string, _ []byte) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			editFile(t, path, func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
		}},
		"truncated in the middle": {want: ErrDamaged, msg: "truncated", damage: func(t *testing.T, path string, content []byte) {
			overwrite(t, path, content[:len(content)/100])
		}},
		"truncated after its first page": {want: ErrDamaged, msg: "restore a backup", damage: func(t *testing.T, path string, content []byte) {
			overwrite(t, path, content[:os.Getpagesize()])
		}},
		"without its first page": {want: ErrDamaged, msg: "page 0", damage: func(t *testing.T, path string, content []byte) {
			clear(content[:os.Getpagesize()])
			overwrite(t, path, content)
		}},
		"without its second page": {want: ErrDamaged, msg: "page 1", damage: func(t *testing.T, path string, content []byte) {
			clear(content[os.Getpagesize() : 2*os.Getpagesize()])
			overwrite(t, path, content)
		}},
		"with a damaged record": {want: ErrDamaged, msg: `the record of key "key_00000000000000000000000017"`, damage: func(t *testing.T, path string, content []byte) {
			name := []byte("Documentation site 17")
			if !bytes.Contains(content, name) {
				t.Fatal("the record was not found")
			}
			overwrite(t, path, bytes.ReplaceAll(content, name, []byte("Documentation site 1?")))
		}},
		"without one record": {want: ErrDamaged, msg: "has 199 rows, but must have 200", damage: func(t *testing.T, path string, _ []byte) {
			editFile(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketNames[bucketRecords]).Delete([]byte(record(3).ID)) })
		}},
		"without a bucket": {want: ErrDamaged, msg: "the bucket digests is missing", damage: func(t *testing.T, path string, _ []byte) {
			editFile(t, path, func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketNames[bucketDigests]) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path, content := newStoreFile(t, 200)
			tc.damage(t, path, content)
			before := readFile(t, path)
			s, err := Open(t.Context(), Options{Path: path})
			if err == nil {
				t.Fatal(errors.Join(errors.New("the file was opened"), s.Close()))
			}
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.msg) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q, want %q in it", err, tc.msg)
			}
			if !bytes.Equal(readFile(t, path), before) {
				t.Error("the file has changed")
			}
			// The lock is released: a backup can be restored without restarting the process.
			overwrite(t, path, content)
			if bytes.Equal(content, before) || strings.Contains(name, "record") || strings.Contains(name, "page") {
				return // content was modified in place
			}
			openStore(t, path)
		})
	}
}

func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRejectsPaths(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	overwrite(t, file, []byte("x"))
	for name, tc := range map[string]struct{ path, msg string }{
		"empty":        {"", "the path is empty"},
		"a folder":     {folder, "the path is a folder; name a file in it"},
		"a device":     {os.DevNull, "not a regular file"},
		"below a file": {filepath.Join(file, "keys.db"), "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), Options{Path: tc.path})
			if err == nil || !strings.Contains(err.Error(), tc.msg) {
				t.Errorf("error %v, want %q in it", err, tc.msg)
			}
		})
	}
}

func TestOpenIgnoresTemporaryFileOfEarlierStart(t *testing.T) {
	path := newPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path+".123.new", nil)
	openStore(t, path)
}

func TestTwoProcesses(t *testing.T) {
	path, content := newStoreFile(t, 10)
	cmd := helperProcess(t, "holder", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{Path: path})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("error %v, want %v", err, ErrLocked)
	}
	_, _ = io.WriteString(in, "x")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, path), content) {
		t.Error("the file has changed")
	}
	openStore(t, path)
}
