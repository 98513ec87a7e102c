package signedid_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/ownership/signedid"
)

func read(t *testing.T, path string) []signedid.Secret {
	t.Helper()
	secrets, err := signedid.ReadOrCreateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

func TestFileIsCreatedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "ids.secret")
	if _, err := signedid.ReadFile(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("without a file: %v", err)
	}
	first, again := read(t, path), read(t, path)
	if len(first) != 1 || first[0] != again[0] || first[0].Key == [32]byte{} {
		t.Errorf("%v, then %v", first, again)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestRotateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ids.secret")
	if _, err := signedid.RotateFile(path, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	read(t, path)
	for i := range 300 {
		before := read(t, path)
		number, err := signedid.RotateFile(path, 1)
		if err != nil {
			t.Fatal(err)
		}
		after := read(t, path)
		if len(after) != 2 || after[0] != before[len(before)-1] || after[1].Number != number || after[1].Key == after[0].Key {
			t.Fatalf("rotation %d: %v, then %v", i, before, after)
		}
	}
	if _, err := signedid.RotateFile(path, 0); err != nil {
		t.Fatal(err)
	}
	if after := read(t, path); len(after) != 1 {
		t.Errorf("%d secrets are kept", len(after))
	}
}

// A damaged file is an error that names the file and does not contain its content. It is not modified.
func TestInvalidFile(t *testing.T) {
	secret := "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	header := "docsgate-id-secrets-1\n"
	for name, content := range map[string]string{
		"empty":            "",
		"no header":        "1 " + secret + "\n",
		"no secret":        header,
		"too short":        header + "1 MDEyMzQ1Njc4OQ==\n",
		"truncated":        header + "1 " + secret[:len(secret)-4] + "\n",
		"too long":         header + "1 " + secret[:40] + "MDEyMw==\n",
		"not base64":       header + "1 !!!!!!\n",
		"zero":             header + "1 " + strings.Repeat("A", 43) + "=\n",
		"no number":        header + secret + "\n",
		"a large number":   header + "256 " + secret + "\n",
		"the same number":  header + "1 " + secret + "\n1 " + secret + "\n",
		"one of two":       header + "1 " + secret + "\n2\n",
		"too many":         header + strings.Repeat("1 "+secret+"\n", 17),
		"a later version":  "docsgate-id-secrets-2\n1 " + secret + "\n",
		"another kind":     "docsgate-secret-1 " + secret + "\n",
		"larger than 16KB": header + strings.Repeat("\n", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ids.secret")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, read := range []func(string) ([]signedid.Secret, error){signedid.ReadFile, signedid.ReadOrCreateFile} {
				secrets, err := read(path)
				if err == nil || secrets != nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), secret[:12]) {
					t.Errorf("%v, %v", secrets, err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != content {
				t.Errorf("the file was modified: %v", err)
			}
		})
	}
}

func TestFileReadableByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ids.secret")
	read(t, path)
	for mode, want := range map[fs.FileMode]string{0o604: "readable by other users: chmod 600 ", 0o640: "", 0o600: ""} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := signedid.ReadFile(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want+path) {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := signedid.ReadFile(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func ExampleSigner() {
	signer, err := signedid.New(signedid.Secret{Number: 1, Key: [signedid.SecretLength]byte{1, 2, 3}})
	if err != nil {
		fmt.Println(err)
		return
	}
	about := &signedid.Subject{Kind: "conversation", Owner: [16]byte{1}}
	now := time.Unix(1_800_000_000, 0)
	signed := signer.Sign("65a1b2c3d4e5f60718293a4b", about, now)
	id, ok := signer.Check(signed, about, now)
	fmt.Println(len(signed), id, ok)
	_, ok = signer.Check(signed, &signedid.Subject{Kind: "conversation", Owner: [16]byte{2}}, now)
	fmt.Println(ok)
	// Output:
	// 49 65a1b2c3d4e5f60718293a4b true
	// false
}
