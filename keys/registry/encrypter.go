package registry

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/docsgate/docsgate/internal/secretbox"
	"github.com/docsgate/docsgate/keys"
)

// encryptionVersion is the version of the format of an encrypted key.
const encryptionVersion = 1

// secretKind is the kind of an Encrypter's secret.
var secretKind = secretbox.Kind{
	Prefix: "docsgate-secret-1", KeyIDDomain: "docsgate mark of a secret: ", DamagedAdvice: "restore it from your backup",
}

// Encrypter encrypts and decrypts agents' keys and secrets for signing, with the secret in a file: AES-256-GCM with the ID of the record
// as additional data, so that what is encrypted cannot be moved to another record. The file is created when it is first needed, and never
// overwritten. It is safe for concurrent use, even by several processes.
type Encrypter struct{ file *secretbox.File }

// NewEncrypter returns an Encrypter with the secret in the file at path. It does not access the file.
func NewEncrypter(path string) *Encrypter { return &Encrypter{secretbox.New(path, secretKind)} }

// Check returns an error if the file cannot be used. A file that does not exist yet is not an error.
func (s *Encrypter) Check() error {
	if _, err := s.file.Secret(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// state returns a text that identifies the secret or the error of the file. It is only suitable for comparison.
func (s *Encrypter) state() string {
	secret, err := s.file.Secret()
	if err != nil {
		return err.Error()
	}
	return string(secret.KeyID())
}

// secretUse is what a secret is encrypted for. It cannot be decrypted for another use.
type secretUse struct {
	what       string // for errors
	additional string // authenticated data
}

// signSecretWhat names a secret for signing in errors.
const signSecretWhat = "secret for signing"

// agentKeyOf returns the use as the DocsGPT key of a record.
func agentKeyOf(id string) secretUse { return secretUse{"DocsGPT key", "docsgate agent key of " + id} }

// signSecretOf returns the use as a secret that signs tokens of a key.
func signSecretOf(id, secret string) secretUse {
	return secretUse{signSecretWhat, "docsgate sign secret " + secret + " of " + id}
}

// encrypt encrypts a secret for a use. The format is: version, key ID of the secret, nonce and ciphertext.
func (s *Encrypter) encrypt(use secretUse, text keys.Secret) ([]byte, error) {
	secret, err := s.file.SecretOrNew()
	if err != nil {
		return nil, fmt.Errorf("encrypting a %s: %w", use.what, err)
	}
	head := append([]byte{encryptionVersion}, secret.KeyID()...)
	return secret.Seal(head, []byte(text.Reveal()), []byte(use.additional)), nil
}

// decrypt returns the secret that was encrypted for a use. The errors are meant for users.
func (s *Encrypter) decrypt(use secretUse, data []byte) (keys.Secret, error) {
	const head = 1 + secretbox.KeyIDBytes
	secret, err := s.file.Secret()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return keys.Secret{}, fmt.Errorf("the %s cannot be decrypted: the secret %s is missing: "+
			"restore it from your backup", use.what, s.file.Path)
	case err != nil:
		return keys.Secret{}, fmt.Errorf("the %s cannot be decrypted: %w", use.what, err)
	case len(data) < head || data[0] != encryptionVersion:
		return keys.Secret{}, fmt.Errorf("the encrypted %s is damaged, or was written by a newer version of the gate", use.what)
	case !secret.HasKeyID(data[1:head]):
		return keys.Secret{}, fmt.Errorf("the %s was encrypted with another secret than the one in %s: "+
			"restore the right one from your backup", use.what, s.file.Path)
	}
	text, err := secret.Open(data[head:], []byte(use.additional))
	if err != nil || len(text) == 0 {
		return keys.Secret{}, fmt.Errorf("the encrypted %s is damaged, or was moved here from another key", use.what)
	}
	return keys.NewSecret(string(text)), nil
}
