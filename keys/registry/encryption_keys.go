package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/docsgate/docsgate/internal/atomicfile"
	"github.com/docsgate/docsgate/internal/secretbox"
)

// EncryptionKeys is implemented by a Storage that several gates share. It knows the key IDs of the secrets with which its content is
// encrypted, but not the secrets, which each gate has in its own file or option. Errors are like those of Storage.
type EncryptionKeys interface {
	// EncryptionKeys returns the key IDs that may be in use: first that of the secret that encrypts. If there are none, and candidate is
	// not empty, the key IDs that the content uses are registered, or else candidate; of several concurrent calls, the candidate of one.
	EncryptionKeys(ctx context.Context, candidate string) ([]string, error)

	// SetEncryptionKey makes all gates encrypt with the secret of a key ID. Other key IDs are still in use. If a gate that is running
	// does not have the secret, nothing is changed, and the error names the gate.
	SetEncryptionKey(ctx context.Context, keyID string) error

	// RetireEncryptionKeys removes the key IDs that are no longer in use. The caller has checked everything up to a revision, and
	// RetireEncryptionKeys checks what was written since. It returns the key IDs that remain, like EncryptionKeys.
	RetireEncryptionKeys(ctx context.Context, revision uint64) ([]string, error)
}

// Share makes the Encrypter encrypt with the secret that a storage names. If the storage names none when something is encrypted, it names
// the first secret of the Encrypter from then on. It must be called before the Encrypter is used.
func (s *Encrypter) Share(storage EncryptionKeys) { s.shared = storage }

// ErrWrongSecret means that an Encrypter lacks a secret with which the storage of Share is encrypted. The error that wraps it says which
// file or option an operator has to change.
var ErrWrongSecret = errors.New("the key store is encrypted with a secret that this gate does not have")

// CheckShared returns an error, for users, unless the Encrypter has all secrets with which the storage of Share is encrypted: ErrWrongSecret
// means that the file must be copied from another gate. If nothing was ever encrypted, it creates the file if there is none; of several
// gates, one does.
func (s *Encrypter) CheckShared(ctx context.Context) error {
	registered, err := s.registered(ctx)
	if err == nil {
		err = s.checkRegistered(registered)
	}
	if err == nil || errors.Is(err, ErrWrongSecret) {
		s.checked.Store(err == nil)
	}
	return err
}

// EnsureShared is CheckShared unless the last check has succeeded. It is for the writes of a gate that was started while the storage was
// unavailable.
func (s *Encrypter) EnsureShared(ctx context.Context) error {
	if s.checked.Load() {
		return nil
	}
	return s.CheckShared(ctx)
}

func (s *Encrypter) checkRegistered(registered []string) error {
	all, err := s.all()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: copy the file %s from the gate that has created the store, or set the option secret", ErrWrongSecret, s.place())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrongSecret, err)
	}
	for _, id := range registered {
		if !hasKeyID(all, id) {
			return fmt.Errorf("%w: it is another secret than the one in %s (its key ID is %s, and that of the key store is %s): copy the file "+
				"from the gate that has created the store, or add the secret to the option secret", ErrWrongSecret, s.place(),
				all[0].KeyIDText(), id)
		}
	}
	return nil
}

// registered returns the key IDs that the storage names, at least one.
func (s *Encrypter) registered(ctx context.Context) ([]string, error) {
	registered, err := s.shared.EncryptionKeys(ctx, "")
	if err == nil && len(registered) == 0 {
		registered, err = s.register(ctx)
	}
	return registered, err
}

// register makes the storage name the first secret, which is created if there is none. Another gate may do the same.
func (s *Encrypter) register(ctx context.Context) (registered []string, err error) {
	_, err = s.all()
	created := errors.Is(err, fs.ErrNotExist)
	if err != nil && !created {
		return nil, err
	}
	var text string
	if created {
		text = secretKind.NewText()
		if err := atomicfile.WriteNew(s.file.Path, []byte(text)); err != nil {
			return nil, fmt.Errorf("creating the secret: %w", err)
		}
	}
	all, err := s.all()
	if err != nil {
		return nil, err
	}
	registered, err = s.shared.EncryptionKeys(ctx, all[0].KeyIDText())
	if err == nil && created && !hasKeyID(all, registered[0]) {
		s.removeUnused(text)
	}
	return registered, err
}

// removeUnused removes the file that was just created, since another gate has registered its secret first. Nothing is encrypted with it.
// It would be mistaken for the right one by the operator.
func (s *Encrypter) removeUnused(text string) {
	if data, err := os.ReadFile(s.file.Path); err == nil && string(data) == text {
		_ = os.Remove(s.file.Path) // a file that remains is rejected by its key ID
	}
}

// sharedSecret returns the secret that the storage names. It is read each time: encryption is rare, and another gate may have replaced it.
func (s *Encrypter) sharedSecret(ctx context.Context) (*secretbox.Secret, error) {
	registered, err := s.registered(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.all()
	if err == nil {
		if i := slices.IndexFunc(all, func(c *secretbox.Secret) bool { return c.KeyIDText() == registered[0] }); i >= 0 {
			return all[i], nil
		}
	}
	return nil, errors.Join(err, fmt.Errorf("%w: the one with the key ID %s is not in %s: copy the file from a gate that has it, or add the "+
		"secret to the option secret", ErrWrongSecret, registered[0], s.place()))
}

// KeyIDs returns the key IDs of the secrets, or nil if they cannot be read.
func (s *Encrypter) KeyIDs() (ids []string) {
	all, err := s.all()
	if err != nil {
		return nil
	}
	for _, secret := range all {
		ids = append(ids, secret.KeyIDText())
	}
	return ids
}

func hasKeyID(all []*secretbox.Secret, id string) bool {
	return slices.ContainsFunc(all, func(s *secretbox.Secret) bool { return s.KeyIDText() == id })
}

// EncryptionKey returns the key ID of the secret that data was encrypted with, or "" if it is too short.
func EncryptionKey(data []byte) string {
	if len(data) < encryptedHead {
		return ""
	}
	return hex.EncodeToString(data[1:encryptedHead])
}

// EncryptionKeys returns the key IDs of the secrets that parts of the record are encrypted with, each once.
func (r *Record) EncryptionKeys() (ids []string) {
	if len(r.Agent.Encrypted) > 0 {
		ids = append(ids, EncryptionKey(r.Agent.Encrypted))
	}
	return r.Signing.appendEncryptionKeys(ids)
}

// EncryptionKeys is like that of a Record.
func (o *Override) EncryptionKeys() []string { return o.Signing.appendEncryptionKeys(nil) }

// appendEncryptionKeys appends key IDs that are not in ids yet. s may be nil.
func (s *Signing) appendEncryptionKeys(ids []string) []string {
	if s == nil {
		return ids
	}
	for i := range s.Secrets {
		if id := EncryptionKey(s.Secrets[i].Encrypted); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
