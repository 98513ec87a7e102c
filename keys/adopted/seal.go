package adopted

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
	"runtime"
	"strings"
)

const (
	secretBytes  = 32
	secretPrefix = "docsgate-snapshot-secret-1 " // then the secret in base64, and a line end
)

// secret seals and opens with AES-256-GCM. What a file says in its first line is part of the seal.
type secret struct {
	aead cipher.AEAD
	mark [4]byte // tells secrets apart
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
	sum := sha256.Sum256(append([]byte("docsgate mark of a snapshot's secret: "), raw...))
	copy(sec.mark[:], sum[:])
	return sec, nil
}

func (s *secret) seal(kind string, mark, plain []byte) []byte {
	line := header(kind, s.mark[:], mark)
	return s.aead.Seal(bytes.Clone(line), nil, plain, line) //nolint:gosec // no nonce: this kind of AEAD makes them itself
}

// open returns what was sealed, and the mark of the file. The errors are for people.
func (s *secret) open(kind string, data []byte) (plain, mark []byte, err error) {
	line, secretMark, mark, sealed, err := splitHeader(kind, data)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(secretMark, s.mark[:]) {
		return nil, nil, errors.New("it was sealed with another secret")
	}
	plain, err = s.aead.Open(nil, nil, sealed, line)
	if err != nil {
		return nil, nil, errors.New("it is damaged")
	}
	return plain, mark, nil
}

// openSecret reads the secret in a file; with create set it makes the file if there is none. An existing file is never
// overwritten.
func openSecret(path string, create bool) (*secret, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err := createSecret(path); err != nil {
			return nil, err
		}
		info, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the secret %s that opens it is missing", path)
	case err != nil:
		return nil, fmt.Errorf("reading the secret: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the secret %s is not a regular file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("the secret %s may be read by others: chmod 600 %s", path, path)
	}
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("reading the secret: %w", err)
	}
	text, ok := strings.CutPrefix(string(data), secretPrefix)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if !ok || err != nil || len(raw) != secretBytes {
		return nil, fmt.Errorf("the secret %s is damaged: remove it, and a new one will be made", path)
	}
	return newSecret(raw)
}

// createSecret makes the file as a whole or not at all. If somebody else was faster that is as good.
func createSecret(path string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // only the owner may read it
	if err != nil {
		return fmt.Errorf("making the secret: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	var raw [secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: the process ends instead
	_, err = temp.WriteString(secretPrefix + base64.StdEncoding.EncodeToString(raw[:]) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("making the secret: %w", err)
	}
	// A link, unlike a renaming, never takes the place of a file.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the secret: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}
