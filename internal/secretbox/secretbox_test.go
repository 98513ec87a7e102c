package secretbox_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/secretbox"
)

var kind = secretbox.Kind{Prefix: "test-secret-1", KeyIDDomain: "mark of a test: ", DamagedAdvice: "ask the test"}

func secret(t *testing.T, f *secretbox.File) *secretbox.Secret {
	t.Helper()
	s, err := f.SecretOrNew()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealAndOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "secret")
	f := secretbox.New(path, kind)
	if _, err := f.Secret(); !errors.Is(err, fs.ErrNotExist) || f.Exists() {
		t.Fatalf("without a file: %v", err)
	}
	first := secret(t, f)
	sealed := first.Seal([]byte("head"), []byte("plain"), []byte("for a"))
	if !bytes.HasPrefix(sealed, []byte("head")) || bytes.Contains(sealed, []byte("plain")) {
		t.Fatalf("sealed: %q", sealed)
	}
	again := secret(t, secretbox.New(path, kind))
	if !again.HasKeyID(first.KeyID()) {
		t.Error("the same file has another key ID")
	}
	if plain, err := again.Open(sealed[4:], []byte("for a")); err != nil || string(plain) != "plain" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := again.Open(sealed[4:], []byte("for b")); err == nil {
		t.Error("decrypted with other additional data")
	}
	other := secret(t, secretbox.New(path+"2", kind))
	if _, err := other.Open(sealed[4:], []byte("for a")); err == nil || other.HasKeyID(first.KeyID()) {
		t.Error("decrypted with another secret, or both have the same key ID")
	}
}

func TestInvalidSecretFiles(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(path string) error
		want   string
	}{
		{"another kind", func(path string) error {
			_, err := secretbox.New(path, secretbox.Kind{Prefix: "other-secret-1"}).SecretOrNew()
			return err
		}, "is damaged: ask the test"},
		{"empty", func(path string) error { return os.WriteFile(path, nil, 0o600) }, "is damaged"},
		{"huge", func(path string) error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) }, "too large"},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		{"readable by others", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o604))
		}, "is readable by other users"},
		{"a dangling link", func(path string) error { return os.Symlink(path+"-gone", path) }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := c.damage(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			if _, err := secretbox.New(path, kind).SecretOrNew(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("the file was modified: %v", err)
			}
		})
	}
}

func TestSecretIsReadAgainAfterFileChange(t *testing.T) {
	folder := t.TempDir()
	f := secretbox.New(filepath.Join(folder, "secret"), kind)
	mine := secret(t, f)
	if other := secret(t, f); other != mine {
		t.Error("the unchanged file was read again")
	}
	restored := secret(t, secretbox.New(filepath.Join(folder, "backup"), kind))
	if err := os.Rename(filepath.Join(folder, "backup"), f.Path); err != nil {
		t.Fatal(err)
	}
	if current := secret(t, f); !current.HasKeyID(restored.KeyID()) || current.HasKeyID(mine.KeyID()) {
		t.Error("the secret is still that of the previous file")
	}
}
