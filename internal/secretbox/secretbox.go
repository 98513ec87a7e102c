// Package secretbox encrypts data that must not be stored in plaintext, with AES-256-GCM and a secret in a separate file. While one secret
// replaces another, both are in the file.
package secretbox

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/docsgate/docsgate/internal/atomicfile"
)

const (
	secretBytes  = 32
	maxFileBytes = 4096
	maxSecrets   = 16 // in a file

	// KeyIDBytes is the length of the key ID of a secret.
	KeyIDBytes = 4
)

// Kind is the purpose of a secret file. Secrets of one kind are rejected as another.
type Kind struct {
	Prefix        string // first word of each line, before the base64 encoded secret
	KeyIDDomain   string // domain of the key ID: it is hashed together with the secret
	DamagedAdvice string // advice for users if the file is damaged
}

// File is a file that contains secrets, one per line. It is created with one when a secret is first needed, and never overwritten. It is
// safe for concurrent use, even by several processes. Create one with New.
type File struct {
	Path string
	kind Kind

	mu      sync.Mutex // guards the following
	info    os.FileInfo
	secrets []*Secret // secrets of the file that info describes
}

// New returns the File at path. It does not access the file system.
func New(path string, kind Kind) *File { return &File{Path: path, kind: kind} }

// Exists reports whether the file exists.
func (f *File) Exists() bool {
	_, err := os.Lstat(f.Path)
	return err == nil
}

// Secret returns the first secret in the file, like Secrets.
func (f *File) Secret() (*Secret, error) {
	secrets, err := f.Secrets()
	if err != nil {
		return nil, err
	}
	return secrets[0], nil
}

// Secrets returns the secrets in the file, at least one. The file is read again only if it has changed. If the file does not exist, the
// error wraps fs.ErrNotExist. Errors are meant for users and contain nothing of the file's content.
func (f *File) Secrets() ([]*Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	if f.secrets != nil && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() &&
		info.Mode() == f.info.Mode() {
		return f.secrets, nil
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the secret %s is not a regular file", f.Path)
	case atomicfile.OthersMayRead(info):
		return nil, fmt.Errorf("the secret %s is readable by other users: chmod 600 %s", f.Path, f.Path)
	}
	data, err := atomicfile.Read(f.Path, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	secrets, err := f.kind.Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("the secret %s is damaged: %s", f.Path, f.kind.DamagedAdvice)
	}
	f.info, f.secrets = info, secrets
	return secrets, nil
}

// SecretOrNew is like Secret, but creates the file if it does not exist.
func (f *File) SecretOrNew() (*Secret, error) {
	secret, err := f.Secret()
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	// If another process has created the file meanwhile, its secret is used.
	if err := atomicfile.WriteNew(f.Path, []byte(f.kind.NewText())); err != nil {
		return nil, fmt.Errorf("creating the secret: %w", err)
	}
	return f.Secret()
}

// NewText returns a new random secret as a line of a file.
func (k Kind) NewText() string {
	var raw [secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: the process crashes instead
	return k.Prefix + " " + base64.StdEncoding.EncodeToString(raw[:]) + "\n"
}

// Parse returns the secrets in the text of a file, at least one. Empty lines are skipped. The error contains nothing of the text.
func (k Kind) Parse(text string) (secrets []*Secret, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		encoded, ok := strings.CutPrefix(line, k.Prefix+" ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if !ok || err != nil || len(raw) != secretBytes || len(secrets) == maxSecrets {
			return nil, errNotSecrets(k)
		}
		secret, err := k.secret(raw)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, errNotSecrets(k)
	}
	return secrets, nil
}

func errNotSecrets(k Kind) error {
	return fmt.Errorf("each line must be %q and %d bytes in base64, and there are at most %d lines", k.Prefix, secretBytes, maxSecrets)
}

// Secret encrypts and decrypts.
type Secret struct {
	aead cipher.AEAD
	id   [KeyIDBytes]byte
	raw  [secretBytes]byte
}

func (k Kind) secret(raw []byte) (*Secret, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("creating the cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("creating the cipher: %w", err)
	}
	s := &Secret{aead: aead, raw: [secretBytes]byte(raw)}
	sum := sha256.Sum256(append([]byte(k.KeyIDDomain), raw...))
	copy(s.id[:], sum[:])
	return s, nil
}

// KeyID returns the key ID of the secret, which only identifies it. The caller owns the slice.
func (s *Secret) KeyID() []byte { return bytes.Clone(s.id[:]) }

// HasKeyID reports whether the secret has this key ID.
func (s *Secret) HasKeyID(id []byte) bool { return bytes.Equal(id, s.id[:]) }

// KeyIDText returns the key ID as text.
func (s *Secret) KeyIDText() string { return hex.EncodeToString(s.id[:]) }

// Derive returns a secret for another use than encryption. purpose separates uses.
func (s *Secret) Derive(purpose string) [32]byte {
	key, err := hkdf.Key(sha256.New, s.raw[:], nil, purpose, 32)
	if err != nil {
		panic(err) // only if the length is too large
	}
	return [32]byte(key)
}

// Seal encrypts plain and appends the result to head. additional is authenticated: Open fails without it.
func (s *Secret) Seal(head, plain, additional []byte) []byte {
	return s.aead.Seal(head, nil, plain, additional) //nolint:gosec // no nonce: this kind of AEAD generates it
}

// Open decrypts and verifies sealed. The error contains no details.
func (s *Secret) Open(sealed, additional []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, additional)
}
