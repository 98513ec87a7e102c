// Package seal seals what must not stand in a file in clear, with a secret in another file: AES-256-GCM.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/docsgate/docsgate/keys/durable"
)

const (
	secretBytes  = 32
	maxFileBytes = 4096

	// MarkBytes is the length of a secret's mark.
	MarkBytes = 4
)

// Kind tells files with secrets for different uses apart.
type Kind struct {
	Prefix  string // of the file, in front of the secret in base64
	Mark    string // goes into the secret's mark
	Damaged string // what to do with a damaged file, for people
}

// File is a file with a secret. It is made for the first secret that is needed, and never overwritten. It is safe for
// concurrent use, also by several processes. Make one with New.
type File struct {
	Path string
	kind Kind

	mu     sync.Mutex // guards the following
	info   os.FileInfo
	secret *Secret // read from the file that info is of
}

// New returns the file at path, which is not touched yet.
func New(path string, kind Kind) *File { return &File{Path: path, kind: kind} }

// Exists tells whether there is a file.
func (f *File) Exists() bool {
	_, err := os.Lstat(f.Path)
	return err == nil
}

// Secret returns the secret in the file. It reads the file again only when that is another than the last time. Without a
// file the error is fs.ErrNotExist; it is for people, and repeats nothing of the file.
func (f *File) Secret() (*Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	if f.secret != nil && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() &&
		info.Mode() == f.info.Mode() {
		return f.secret, nil
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the secret %s is not a regular file", f.Path)
	case othersMayRead(info):
		return nil, fmt.Errorf("the secret %s may be read by others: chmod 600 %s", f.Path, f.Path)
	}
	data, err := durable.Read(f.Path, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(data)), f.kind.Prefix)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if !ok || err != nil || len(raw) != secretBytes {
		return nil, fmt.Errorf("the secret %s is damaged: %s", f.Path, f.kind.Damaged)
	}
	secret, err := f.kind.secret(raw)
	if err != nil {
		return nil, err
	}
	f.info, f.secret = info, secret
	return secret, nil
}

// SecretOrNew is Secret, but makes the file if there is none.
func (f *File) SecretOrNew() (*Secret, error) {
	secret, err := f.Secret()
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	var raw [secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: the process ends instead
	// If somebody else is faster that is as good.
	if err := durable.Make(f.Path, []byte(f.kind.Prefix+" "+base64.StdEncoding.EncodeToString(raw[:])+"\n")); err != nil {
		return nil, fmt.Errorf("making the secret: %w", err)
	}
	return f.Secret()
}

// Secret seals and opens.
type Secret struct {
	aead cipher.AEAD
	mark [MarkBytes]byte
}

func (k Kind) secret(raw []byte) (*Secret, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	s := &Secret{aead: aead}
	sum := sha256.Sum256(append([]byte(k.Mark), raw...))
	copy(s.mark[:], sum[:])
	return s, nil
}

// Mark tells secrets apart, and nothing else. It belongs to the caller.
func (s *Secret) Mark() []byte { return bytes.Clone(s.mark[:]) }

// Is tells whether a mark is the secret's.
func (s *Secret) Is(mark []byte) bool { return bytes.Equal(mark, s.mark[:]) }

// Seal appends the sealed text to head. additional is part of the seal: nothing opens it without.
func (s *Secret) Seal(head, plain, additional []byte) []byte {
	return s.aead.Seal(head, nil, plain, additional) //nolint:gosec // no nonce: this kind of AEAD makes them itself
}

// Open returns what was sealed, or an error that says nothing.
func (s *Secret) Open(sealed, additional []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, additional)
}
