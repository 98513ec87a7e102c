package atomicfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/atomicfile"
)

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := atomicfile.Read(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// checkOnlyFile checks that the folder of a file contains no other file.
func checkOnlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

func TestFileModes(t *testing.T) {
	for name, write := range map[string]func(string, []byte) error{"Make": atomicfile.WriteNew, "Replace": atomicfile.Replace} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "new", "file")
			if err := write(path, []byte("text")); err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s: %v, %v, want %o", path, info, err, want)
				}
			}
			if got := content(t, path); got != "text" {
				t.Errorf("content %q", got)
			}
			checkOnlyFile(t, path)
		})
	}
}

func TestMakeDoesNotReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var all sync.WaitGroup
	for _, text := range strings.Split("abcdefgh", "") {
		all.Go(func() {
			if err := atomicfile.WriteNew(path, []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	first := content(t, path)
	if err := atomicfile.WriteNew(path, []byte("other")); err != nil || content(t, path) != first {
		t.Errorf("content %q after %q, %v", content(t, path), first, err)
	}
	checkOnlyFile(t, path)
}

// WriteNewFunc returns fs.ErrExist for an existing file. A failed write leaves the file as it was, and no other file.
func TestFailedWritesKeepTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, writeErr := io.WriteString(w, text)
			return errors.Join(writeErr, err)
		}
	}
	broken := errors.New("broken")
	if err := atomicfile.WriteNewFunc(path, write("half", broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed write made a file: %v", err)
	}
	if err := atomicfile.WriteNewFunc(path, write("first", nil)); err != nil {
		t.Error(err)
	}
	if err := atomicfile.WriteNewFunc(path, write("second", nil)); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if err := atomicfile.ReplaceFunc(path, write("half", broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
	if got := content(t, path); got != "first" {
		t.Errorf("content %q", got)
	}
	if err := atomicfile.ReplaceFunc(path, write("third", nil)); err != nil || content(t, path) != "third" {
		t.Errorf("content %q, %v", content(t, path), err)
	}
	checkOnlyFile(t, path)
	if err := atomicfile.ReplaceFunc(filepath.Join(t.TempDir(), "none", "file"), write("text", nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that does not exist: %v", err)
	}
}

// A symbolic link in the place of the file is not followed.
func TestSymlinksAreNotFollowed(t *testing.T) {
	target := filepath.Join(t.TempDir(), "target")
	path := filepath.Join(t.TempDir(), "file")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.WriteNew(path, []byte("text")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Make has followed the link: %v", err)
	}
	if err := os.WriteFile(target, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Replace(path, []byte("text")); err != nil {
		t.Error(err)
	}
	if content(t, target) != "mine" || content(t, path) != "text" {
		t.Errorf("target %q, file %q", content(t, target), content(t, path))
	}
}

func TestReadRejectsLargeAndIrregularFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := atomicfile.Replace(path, make([]byte, 101)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		path: "too large", filepath.Dir(path): "not a regular file", os.DevNull: "not a regular file", path + "x": "no such file",
	} {
		if data, err := atomicfile.Read(path, 100); err == nil || data != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d bytes, %v, want %q", path, len(data), err, want)
		}
	}
	if data, err := atomicfile.Read(path, 101); err != nil || len(data) != 101 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}
