package signedid

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/docsgate/docsgate/internal/atomicfile"
)

// Limits of a secret file.
const (
	MaxFileSecrets = 16

	maxFileBytes = 16 << 10
)

// fileHeader is the first line of a secret file.
const fileHeader = "docsgate-id-secrets-1"

// ReadFile returns the secrets in a file. Each line after the first contains the number of a secret and 32 bytes in base64. The last
// secret signs. If the file does not exist, the error wraps fs.ErrNotExist. Errors name the file and contain nothing of its content.
func ReadFile(path string) ([]Secret, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the secrets of IDs: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the file with the secrets of IDs, %s, is not a regular file", path)
	case atomicfile.OthersMayRead(info):
		return nil, fmt.Errorf("the file with the secrets of IDs, %s, is readable by other users: chmod 600 %s", path, path)
	}
	data, err := atomicfile.Read(path, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the secrets of IDs: %w", err)
	}
	secrets, err := parseFile(string(data))
	if err == nil {
		_, err = New(secrets...)
	}
	if err != nil {
		return nil, fmt.Errorf("the file with the secrets of IDs, %s, is damaged: %w; restore it, or remove it to end all conversations", path, err)
	}
	return secrets, nil
}

// ReadOrCreateFile is like ReadFile, but creates the file with a random secret if it does not exist.
func ReadOrCreateFile(path string) ([]Secret, error) {
	secrets, err := ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secrets, err
	}
	secret := RandomSecret(1)
	text := fileHeader + "\n" + secret.line()
	// If another process has created the file meanwhile, its secret is used.
	if err := atomicfile.WriteNew(path, []byte(text)); err != nil {
		return nil, fmt.Errorf("creating the secrets of IDs: %w", err)
	}
	return ReadFile(path)
}

// RotateFile appends a random secret to a file, which then signs, and removes secrets so that at most keep of the others remain. It
// returns the number of the new secret.
func RotateFile(path string, keep int) (number uint8, err error) {
	secrets, err := ReadFile(path)
	if err != nil {
		return 0, err
	}
	secrets = secrets[len(secrets)-min(len(secrets), max(keep, 0)):]
	used := map[uint8]bool{}
	for _, s := range secrets {
		number, used[s.Number] = s.Number, true
	}
	for number++; used[number]; number++ {
	}
	var text strings.Builder
	text.WriteString(fileHeader + "\n")
	for _, s := range append(secrets, RandomSecret(number)) {
		text.WriteString(s.line())
	}
	if err := atomicfile.Replace(path, []byte(text.String())); err != nil {
		return 0, fmt.Errorf("writing the secrets of IDs: %w", err)
	}
	return number, nil
}

// RandomSecret returns a new secret.
func RandomSecret(number uint8) Secret {
	s := Secret{Number: number}
	_, _ = rand.Read(s.Key[:]) // never fails: the process crashes instead
	return s
}

func (s *Secret) line() string {
	return fmt.Sprintf("%d %s\n", s.Number, base64.StdEncoding.EncodeToString(s.Key[:]))
}

func parseFile(text string) ([]Secret, error) {
	first, rest, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(first) != fileHeader {
		return nil, fmt.Errorf("the first line is not %q", fileHeader)
	}
	var secrets []Secret
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		number, key, _ := strings.Cut(line, " ")
		n, err := strconv.ParseUint(number, 10, 8)
		raw, keyErr := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(key))
		switch {
		case err != nil || keyErr != nil || len(raw) != SecretLength:
			return nil, fmt.Errorf("secret %d in it is not a number and %d bytes in base64", len(secrets)+1, SecretLength)
		case len(secrets) == MaxFileSecrets:
			return nil, fmt.Errorf("it has more than %d secrets", MaxFileSecrets)
		}
		secrets = append(secrets, Secret{Number: uint8(n), Key: [SecretLength]byte(raw)})
	}
	return secrets, nil
}
