package registry

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
	"path/filepath"
	"strings"
	"sync"

	"github.com/docsgate/docsgate/keys"
)

const (
	secretBytes  = 32
	secretPrefix = "docsgate-secret-1 " // then the secret in base64, and a line end

	sealVersion = 1
	markBytes   = 4 // of the secret that something was sealed with
)

// Sealer seals and opens agents' keys with the secret in a file: AES-256-GCM, with the ID of the record as additional data,
// so that no sealed key can be moved to another record. The file is made when the first key is sealed, and never
// overwritten. It is safe for concurrent use, also by several processes.
type Sealer struct {
	path string

	mu     sync.Mutex // guards the following
	info   os.FileInfo
	secret *secret // read from the file that info is of
}

// secret is what the file holds.
type secret struct {
	aead cipher.AEAD
	mark [markBytes]byte
}

// NewSealer returns a sealer with the secret in the file at path, which is not touched yet.
func NewSealer(path string) *Sealer { return &Sealer{path: path} }

// Check reports what is wrong with the file; nil also if there is none yet.
func (s *Sealer) Check() error {
	if _, err := s.read(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// condition changes when what the file is good for changes. It is only to be compared.
func (s *Sealer) condition() string {
	sec, err := s.read()
	if err != nil {
		return err.Error()
	}
	return string(sec.mark[:])
}

func (s *Sealer) exists() bool {
	_, err := os.Lstat(s.path)
	return err == nil
}

// seal returns the key in the form: version, mark of the secret, nonce and sealed text.
func (s *Sealer) seal(id string, key keys.Secret) ([]byte, error) {
	sec, err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.create(); err == nil {
			sec, err = s.read()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sealing a DocsGPT key: %w", err)
	}
	head := append([]byte{sealVersion}, sec.mark[:]...)
	//nolint:gosec // no nonce: this AEAD makes a random one for each text
	return sec.aead.Seal(head, nil, []byte(key.Reveal()), additional(id)), nil
}

// open returns the key that was sealed for a record. The errors are for people.
func (s *Sealer) open(id string, sealed []byte) (keys.Secret, error) {
	sec, err := s.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return keys.Secret{}, fmt.Errorf("the DocsGPT key is sealed, and the secret %s that opens it is missing: "+
			"put it back from your backup", s.path)
	case err != nil:
		return keys.Secret{}, fmt.Errorf("the DocsGPT key is sealed: %w", err)
	case len(sealed) < 1+markBytes || sealed[0] != sealVersion:
		return keys.Secret{}, errors.New("the sealed DocsGPT key is damaged, or of a newer version of the gate")
	case !bytes.Equal(sealed[1:1+markBytes], sec.mark[:]):
		return keys.Secret{}, fmt.Errorf("the DocsGPT key was sealed with another secret than the one in %s: "+
			"put the right one back from your backup", s.path)
	}
	text, err := sec.aead.Open(nil, nil, sealed[1+markBytes:], additional(id))
	if err != nil || len(text) == 0 {
		return keys.Secret{}, errors.New("the sealed DocsGPT key is damaged, or was moved here from another key")
	}
	return keys.NewSecret(string(text)), nil
}

func additional(id string) []byte { return []byte("docsgate agent key of " + id) }

// read returns the secret in the file. It reads the file again only when that is another than the last time.
func (s *Sealer) read() (*secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	if s.secret != nil && os.SameFile(info, s.info) && info.ModTime().Equal(s.info.ModTime()) && info.Size() == s.info.Size() &&
		info.Mode() == s.info.Mode() {
		return s.secret, nil
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the secret %s is not a regular file", s.path)
	case othersMayRead(info):
		return nil, fmt.Errorf("the secret %s may be read by others: chmod 600 %s", s.path, s.path)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(data)), strings.TrimSpace(secretPrefix))
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if !ok || err != nil || len(raw) != secretBytes {
		return nil, fmt.Errorf("the secret %s is damaged: put it back from your backup", s.path)
	}
	sec, err := newSecret(raw)
	if err != nil {
		return nil, err
	}
	s.info, s.secret = info, sec
	return sec, nil
}

func newSecret(raw []byte) (*secret, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	sec := &secret{aead: aead}
	sum := sha256.Sum256(append([]byte("docsgate mark of a secret: "), raw...))
	copy(sec.mark[:], sum[:])
	return sec, nil
}

// create makes the file as a whole or not at all. If somebody else was faster that is as good.
func (s *Sealer) create() error {
	dir := filepath.Dir(s.path)
	temp, err := os.CreateTemp(dir, filepath.Base(s.path)+".*.new") // only the owner may read it
	if err != nil {
		return fmt.Errorf("making the secret: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }() // what is left of it harms nobody
	var raw [secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: the process ends instead
	_, err = temp.WriteString(secretPrefix + base64.StdEncoding.EncodeToString(raw[:]) + "\n")
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err != nil {
		return fmt.Errorf("making the secret: %w", err)
	}
	// A link, unlike a renaming, never takes the place of a file.
	if err := os.Link(temp.Name(), s.path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the secret: %w", err)
	}
	if d, err := os.Open(dir); err == nil {
		err = errors.Join(d.Sync(), d.Close())
		if err != nil {
			return fmt.Errorf("making the secret durable: %w", err)
		}
	}
	return nil
}
