package seal_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/seal"
)

var kind = seal.Kind{Prefix: "test-secret-1", Mark: "mark of a test: ", Damaged: "ask the test"}

func secret(t *testing.T, f *seal.File) *seal.Secret {
	t.Helper()
	s, err := f.SecretOrNew()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsSealedOpensWithTheSameSecretAndTextOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "secret")
	f := seal.New(path, kind)
	if _, err := f.Secret(); !errors.Is(err, fs.ErrNotExist) || f.Exists() {
		t.Fatalf("before there is a file: %v", err)
	}
	first := secret(t, f)
	sealed := first.Seal([]byte("head"), []byte("plain"), []byte("for a"))
	if !bytes.HasPrefix(sealed, []byte("head")) || bytes.Contains(sealed, []byte("plain")) {
		t.Fatalf("sealed: %q", sealed)
	}
	again := secret(t, seal.New(path, kind))
	if !again.Is(first.Mark()) {
		t.Error("the same file has another mark")
	}
	if plain, err := again.Open(sealed[4:], []byte("for a")); err != nil || string(plain) != "plain" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := again.Open(sealed[4:], []byte("for b")); err == nil {
		t.Error("it opens with another additional text")
	}
	other := secret(t, seal.New(path+"2", kind))
	if _, err := other.Open(sealed[4:], []byte("for a")); err == nil || other.Is(first.Mark()) {
		t.Error("it opens with another secret, or their marks are the same")
	}
}

func TestFilesThatAreNoSecret(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(path string) error
		want  string
	}{
		{"of another kind", func(path string) error {
			_, err := seal.New(path, seal.Kind{Prefix: "other-secret-1"}).SecretOrNew()
			return err
		}, "is damaged: ask the test"},
		{"empty", func(path string) error { return os.WriteFile(path, nil, 0o600) }, "is damaged"},
		{"huge", func(path string) error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) }, "too large"},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		{"readable for others", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o604))
		}, "may be read by others"},
		{"a link that leads nowhere", func(path string) error { return os.Symlink(path+"-gone", path) }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := c.spoil(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			if _, err := seal.New(path, kind).SecretOrNew(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("the file was touched: %v", err)
			}
		})
	}
}

func TestSecretIsReadAgainWhenTheFileIsAnother(t *testing.T) {
	folder := t.TempDir()
	f := seal.New(filepath.Join(folder, "secret"), kind)
	mine := secret(t, f)
	if other := secret(t, f); other != mine {
		t.Error("the file was read again although it is the same")
	}
	restored := secret(t, seal.New(filepath.Join(folder, "backup"), kind))
	if err := os.Rename(filepath.Join(folder, "backup"), f.Path); err != nil {
		t.Fatal(err)
	}
	if now := secret(t, f); !now.Is(restored.Mark()) || now.Is(mine.Mark()) {
		t.Error("the secret is still that of the file before")
	}
}
