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

// stored makes a store with some keys and returns its file's name and content.
func stored(t *testing.T, n int) (path string, content []byte) {
	t.Helper()
	path = newPath(t)
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, n)
	for i := range min(n, 20) { // pages that are free again
		r, err := s.Get(t.Context(), record(i).ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), []*registry.Record{r}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Remember(t.Context(), "note", "text"), s.Close()); err != nil {
		t.Fatal(err)
	}
	return path, content1(t, path)
}

func content1(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// edit changes a file with bbolt.
func edit(t *testing.T, path string, f func(tx *bolt.Tx) error) {
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

func TestOpenMakesFileAndFolder(t *testing.T) {
	path := newPath(t)
	open1(t, path)
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v; %v", name, info.Mode(), want, err)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("%d files, want the store alone; %v", len(files), err)
	}
}

func TestRefusedFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, path string, content []byte)
		want  error
		says  string
	}{
		"of a newer major version": {want: ErrNewer, says: "format 2.7, and this docsgate knows 1.0; the file was left as it is", spoil: func(t *testing.T, path string, _ []byte) {
			edit(t, path, putRow(inMeta, rowFormat, seal(rowFormat, formatBody(2, 7))))
		}},
		"of a newer major version, with rows and buckets this one does not know": {want: ErrNewer, says: "format 9.0", spoil: func(t *testing.T, path string, _ []byte) {
			edit(t, path, func(tx *bolt.Tx) error {
				for _, name := range bucketNames[1:] {
					if err := tx.DeleteBucket(name); err != nil {
						return err
					}
				}
				return errors.Join(putRow(inMeta, rowState, []byte("x"))(tx), putRow(inMeta, rowFormat, seal(rowFormat, formatBody(9, 0)))(tx))
			})
		}},
		"empty": {want: ErrDamaged, says: "it is empty", spoil: func(t *testing.T, path string, _ []byte) {
			overwrite(t, path, nil)
		}},
		"a few bytes": {want: ErrDamaged, says: "shorter than any store", spoil: func(t *testing.T, path string, _ []byte) {
			overwrite(t, path, []byte("x"))
		}},
		"text": {want: ErrDamaged, says: "no bbolt file", spoil: func(t *testing.T, path string, _ []byte) {
			overwrite(t, path, bytes.Repeat([]byte("keys:\n"), 10_000))
		}},
		"zeros": {want: ErrDamaged, says: "no bbolt file", spoil: func(t *testing.T, path string, content []byte) {
			overwrite(t, path, make([]byte, len(content)))
		}},
		"of another program that uses bbolt": {want: ErrDamaged, says: "another program", spoil: func(t *testing.T, path string, _ []byte) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			edit(t, path, func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
		}},
		"cut in the middle": {want: ErrDamaged, says: "truncated", spoil: func(t *testing.T, path string, content []byte) {
			overwrite(t, path, content[:len(content)/100])
		}},
		"cut after its first page": {want: ErrDamaged, says: "put a backup in its place", spoil: func(t *testing.T, path string, content []byte) {
			overwrite(t, path, content[:os.Getpagesize()])
		}},
		"without its first page": {want: ErrDamaged, says: "page 0", spoil: func(t *testing.T, path string, content []byte) {
			clear(content[:os.Getpagesize()])
			overwrite(t, path, content)
		}},
		"without its second page": {want: ErrDamaged, says: "page 1", spoil: func(t *testing.T, path string, content []byte) {
			clear(content[os.Getpagesize() : 2*os.Getpagesize()])
			overwrite(t, path, content)
		}},
		"with a damaged record": {want: ErrDamaged, says: `the record of key "key_00000000000000000000000017"`, spoil: func(t *testing.T, path string, content []byte) {
			name := []byte("Documentation site 17")
			if !bytes.Contains(content, name) {
				t.Fatal("the record is not where it should be")
			}
			overwrite(t, path, bytes.ReplaceAll(content, name, []byte("Documentation site 1?")))
		}},
		"without one record": {want: ErrDamaged, says: "has 199 rows, and had 200", spoil: func(t *testing.T, path string, _ []byte) {
			edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketNames[inRecords]).Delete([]byte(record(3).ID)) })
		}},
		"without a bucket": {want: ErrDamaged, says: "the bucket digests is missing", spoil: func(t *testing.T, path string, _ []byte) {
			edit(t, path, func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketNames[inDigests]) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path, content := stored(t, 200)
			tc.spoil(t, path, content)
			before := content1(t, path)
			s, err := Open(t.Context(), Options{Path: path})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
			}
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q, want one that says %q", err, tc.says)
			}
			if !bytes.Equal(content1(t, path), before) {
				t.Error("the file has changed")
			}
			// The lock is free again: whoever puts a backup in place need not start anew.
			overwrite(t, path, content)
			if bytes.Equal(content, before) || strings.Contains(name, "record") || strings.Contains(name, "page") {
				return // content was spoilt in place
			}
			open1(t, path)
		})
	}
}

func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedPaths(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	overwrite(t, file, []byte("x"))
	for name, tc := range map[string]struct{ path, says string }{
		"none":                              {"", "has no path"},
		"a folder":                          {folder, "it is a folder; name the file in it"},
		"a device":                          {os.DevNull, "no regular file"},
		"below something that is no folder": {filepath.Join(file, "keys.db"), "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), Options{Path: tc.path})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want one that says %q", err, tc.says)
			}
		})
	}
}

func TestEmptyFileOfAnUnfinishedStartIsNoObstacle(t *testing.T) {
	path := newPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path+".123.new", nil)
	open1(t, path)
}

func TestTwoProcesses(t *testing.T) {
	path, content := stored(t, 10)
	cmd := child(t, "holder", path)
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
	if !bytes.Equal(content1(t, path), content) {
		t.Error("the file has changed")
	}
	open1(t, path)
}
