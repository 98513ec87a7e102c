package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/docsgate/docsgate/internal/secretbox"
	"github.com/docsgate/docsgate/keys"
)

// encryptionVersion is the version of the format of an encrypted key.
const encryptionVersion = 1

// encryptedHead is the length of what precedes the nonce: the version and the key ID of the secret.
const encryptedHead = 1 + secretbox.KeyIDBytes

// secretKind is the kind of an Encrypter's secret.
var secretKind = secretbox.Kind{
	Prefix: "docsgate-secret-1", KeyIDDomain: "docsgate mark of a secret: ", DamagedAdvice: "restore it from your backup",
}

// Encrypter encrypts and decrypts agents' keys and secrets for signing, with the secret in a file: AES-256-GCM with the ID of the record
// as additional data, so that what is encrypted cannot be moved to another record. The file is created when it is first needed, and never
// overwritten. While the secret is replaced there are several: all decrypt, and the first encrypts, or with Share the one that the storage
// names. It is safe for concurrent use, even by several processes.
type Encrypter struct {
	file    *secretbox.File     // nil: of NewEncrypterOf
	secrets []*secretbox.Secret // of NewEncrypterOf
	shared  EncryptionKeys      // names the secret that encrypts; nil: the first one does
	checked atomic.Bool         // the last CheckShared has succeeded
}

// NewEncrypter returns an Encrypter with the secret in the file at path. It does not access the file.
func NewEncrypter(path string) *Encrypter { return &Encrypter{file: secretbox.New(path, secretKind)} }

// NewEncrypterOf returns an Encrypter with the secrets in text, which has the format of a file of NewEncrypter; the first word of a line may
// be missing. The error contains nothing of it.
func NewEncrypterOf(text keys.Secret) (*Encrypter, error) {
	var lines strings.Builder
	for line := range strings.Lines(text.Reveal()) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, " ") {
			line = secretKind.Prefix + " " + line
		}
		lines.WriteString(line + "\n")
	}
	secrets, err := secretKind.Parse(lines.String())
	if err != nil {
		return nil, err
	}
	return &Encrypter{secrets: secrets}, nil
}

// place names where the secret is, for users.
func (s *Encrypter) place() string {
	if s.file == nil {
		return "the option secret"
	}
	return s.file.Path
}

// exists reports whether there is a secret.
func (s *Encrypter) exists() bool { return s.file == nil || s.file.Exists() }

// all returns the secrets. If there is no file, the error wraps fs.ErrNotExist.
func (s *Encrypter) all() ([]*secretbox.Secret, error) {
	if s.file == nil {
		return s.secrets, nil
	}
	return s.file.Secrets()
}

// encrypting returns the secret that encrypts, and creates the file if there is none.
func (s *Encrypter) encrypting(ctx context.Context) (*secretbox.Secret, error) {
	if s.shared != nil {
		return s.sharedSecret(ctx)
	}
	all, err := s.all()
	if errors.Is(err, fs.ErrNotExist) {
		return s.file.SecretOrNew()
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Check returns an error if the secret cannot be used. A file that does not exist yet is not an error.
func (s *Encrypter) Check() error {
	if _, err := s.all(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// state returns a text that identifies the secrets or the error of the file. It is only suitable for comparison.
func (s *Encrypter) state() string {
	all, err := s.all()
	if err != nil {
		return err.Error()
	}
	text := ""
	for _, secret := range all {
		text += secret.KeyIDText() + " "
	}
	return text
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
func (s *Encrypter) encrypt(ctx context.Context, use secretUse, text keys.Secret) ([]byte, error) {
	secret, err := s.encrypting(ctx)
	if err != nil {
		return nil, fmt.Errorf("encrypting a %s: %w", use.what, err)
	}
	return s.seal(secret, use, text), nil
}

func (*Encrypter) seal(secret *secretbox.Secret, use secretUse, text keys.Secret) []byte {
	head := append([]byte{encryptionVersion}, secret.KeyID()...)
	return secret.Seal(head, []byte(text.Reveal()), []byte(use.additional))
}

// decrypt returns the secret that was encrypted for a use. The errors are meant for users.
func (s *Encrypter) decrypt(use secretUse, data []byte) (keys.Secret, error) {
	all, err := s.all()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return keys.Secret{}, fmt.Errorf("the %s cannot be decrypted: the secret %s is missing: "+
			"restore it from your backup", use.what, s.place())
	case err != nil:
		return keys.Secret{}, fmt.Errorf("the %s cannot be decrypted: %w", use.what, err)
	case len(data) < encryptedHead || data[0] != encryptionVersion:
		return keys.Secret{}, fmt.Errorf("the encrypted %s is damaged, or was written by a newer version of the gate", use.what)
	}
	known := false
	for _, secret := range all {
		if !secret.HasKeyID(data[1:encryptedHead]) {
			continue
		}
		known = true
		if text, err := secret.Open(data[encryptedHead:], []byte(use.additional)); err == nil && len(text) > 0 {
			return keys.NewSecret(string(text)), nil
		}
	}
	if !known {
		return keys.Secret{}, fmt.Errorf("the %s was encrypted with another secret than the one in %s: "+
			"restore the right one from your backup", use.what, s.place())
	}
	return keys.Secret{}, fmt.Errorf("the encrypted %s is damaged, or was moved here from another key", use.what)
}

// otherUse returns the use for other data of the gate.
func otherUse(purpose string) secretUse { return secretUse{purpose, "docsgate " + purpose} }

// Sealer encrypts other data of the gate with one secret.
type Sealer struct {
	encrypter *Encrypter
	secret    *secretbox.Secret
}

// Sealer returns a Sealer with the secret that encrypts.
func (s *Encrypter) Sealer(ctx context.Context) (*Sealer, error) {
	secret, err := s.encrypting(ctx)
	return &Sealer{s, secret}, err
}

// LocalSealer returns a Sealer for files of this gate. It has the first secret, whichever the storage names.
func (s *Encrypter) LocalSealer() (*Sealer, error) {
	all, err := s.all()
	if err != nil {
		return nil, err
	}
	return &Sealer{s, all[0]}, nil
}

// Seal encrypts data for a purpose, which Decrypt requires again.
func (s *Sealer) Seal(purpose string, data []byte) []byte {
	return s.encrypter.seal(s.secret, otherUse(purpose), keys.NewSecret(string(data)))
}

// KeyID returns the key ID of the secret.
func (s *Sealer) KeyID() string { return s.secret.KeyIDText() }

// Decrypt returns the data that was encrypted for a purpose. The errors are meant for users.
func (s *Encrypter) Decrypt(purpose string, data []byte) ([]byte, error) {
	text, err := s.decrypt(otherUse(purpose), data)
	return []byte(text.Reveal()), err
}

// Derive returns secrets for another use than encryption, one of each secret, for a purpose. Gates with the same secret get the same.
func (s *Encrypter) Derive(purpose string) (derived [][32]byte, err error) {
	all, err := s.all()
	for _, secret := range all {
		derived = append(derived, secret.Derive("docsgate "+purpose))
	}
	return derived, err
}
