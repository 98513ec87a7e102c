package registry

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/docsgate/docsgate/internal/secretbox"
	"github.com/docsgate/docsgate/keys"
)

// sealVersion is that of the form of a sealed key.
const sealVersion = 1

// secretKind is the secret in the file of a Sealer.
var secretKind = secretbox.Kind{
	Prefix: "docsgate-secret-1", Mark: "docsgate mark of a secret: ", Damaged: "put it back from your backup",
}

// Sealer seals and opens agents' keys with the secret in a file: AES-256-GCM, with the ID of the record as additional data,
// so that no sealed key can be moved to another record. The file is made when the first key is sealed, and never
// overwritten. It is safe for concurrent use, also by several processes.
type Sealer struct{ file *secretbox.File }

// NewSealer returns a sealer with the secret in the file at path, which is not touched yet.
func NewSealer(path string) *Sealer { return &Sealer{secretbox.New(path, secretKind)} }

// Check reports what is wrong with the file; nil also if there is none yet.
func (s *Sealer) Check() error {
	if _, err := s.file.Secret(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// state changes when what the file is good for changes. It is only to be compared.
func (s *Sealer) state() string {
	secret, err := s.file.Secret()
	if err != nil {
		return err.Error()
	}
	return string(secret.KeyID())
}

// seal returns the key in the form: version, mark of the secret, nonce and sealed text.
func (s *Sealer) seal(id string, key keys.Secret) ([]byte, error) {
	secret, err := s.file.SecretOrNew()
	if err != nil {
		return nil, fmt.Errorf("sealing a DocsGPT key: %w", err)
	}
	head := append([]byte{sealVersion}, secret.KeyID()...)
	return secret.Seal(head, []byte(key.Reveal()), additional(id)), nil
}

// open returns the key that was sealed for a record. The errors are for people.
func (s *Sealer) open(id string, sealed []byte) (keys.Secret, error) {
	const head = 1 + secretbox.MarkBytes
	secret, err := s.file.Secret()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return keys.Secret{}, fmt.Errorf("the DocsGPT key is sealed, and the secret %s that opens it is missing: "+
			"put it back from your backup", s.file.Path)
	case err != nil:
		return keys.Secret{}, fmt.Errorf("the DocsGPT key is sealed: %w", err)
	case len(sealed) < head || sealed[0] != sealVersion:
		return keys.Secret{}, errors.New("the sealed DocsGPT key is damaged, or of a newer version of the gate")
	case !secret.HasKeyID(sealed[1:head]):
		return keys.Secret{}, fmt.Errorf("the DocsGPT key was sealed with another secret than the one in %s: "+
			"put the right one back from your backup", s.file.Path)
	}
	text, err := secret.Open(sealed[head:], additional(id))
	if err != nil || len(text) == 0 {
		return keys.Secret{}, errors.New("the sealed DocsGPT key is damaged, or was moved here from another key")
	}
	return keys.NewSecret(string(text)), nil
}

func additional(id string) []byte { return []byte("docsgate agent key of " + id) }
