package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/docsgate/docsgate/keys/idsecrets"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// OpenStore is an open key store.
type OpenStore struct {
	*registry.Registry
	Encrypter *registry.Encrypter
	Database  *pgstore.Store // nil for a file
	location  StoreLocation
}

// OpenStore opens the store, which Registry.Close closes. A file that another process has open is boltstore.ErrLocked. meter may be nil.
// The secrets of a database are not checked; see registry.Encrypter.CheckShared.
func (l StoreLocation) OpenStore(ctx context.Context, meter *usage.Counter, logger *slog.Logger) (*OpenStore, error) {
	encrypter := registry.NewEncrypter(l.secretPath())
	if !l.secret.IsZero() {
		var err error
		if encrypter, err = registry.NewEncrypterOf(l.secret); err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
	}
	storage, err := l.Open(ctx)
	if err != nil {
		return nil, err
	}
	s := &OpenStore{Encrypter: encrypter, location: l}
	if database, ok := storage.(*pgstore.Store); ok {
		s.Database = database
		encrypter.Share(database)
	}
	options := registry.Options{Storage: storage, Encrypter: encrypter, Usage: meter, Log: logger}
	if s.Database != nil {
		options.Claims = s.Database
	}
	s.Registry, err = registry.New(options)
	if err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	if s.Database != nil {
		s.OnReencrypt(func(ctx context.Context, e *registry.Encrypter) (int, error) {
			return idsecrets.Reencrypt(ctx, s.Database, e)
		})
	}
	return s, nil
}

// secretPath returns the path of the secret that encrypts pasted DocsGPT keys, and with a database also the secrets of IDs.
func (l StoreLocation) secretPath() string { return l.local + ".secret" }

// RotateIDSecret creates a secret that signs IDs, and returns its number. With a database it signs after a delay, and with a file
// immediately. With endPrevious earlier secrets are removed, and the IDs that they have signed are unknown from then on.
func (s *OpenStore) RotateIDSecret(ctx context.Context, by registry.Actor, delay time.Duration, endPrevious bool) (number uint8, err error) {
	if s.Database != nil {
		number, err = idsecrets.Rotate(ctx, s.Database, s.Encrypter, delay, endPrevious)
	} else {
		kept := signedid.MaxFileSecrets - 1
		if endPrevious {
			kept = 0
		}
		number, err = signedid.RotateFile(IDsPath(s.location.local)+IDSecretsExt, kept)
	}
	if err != nil {
		return 0, err
	}
	return number, s.IDSecretRotated(ctx, by, number, endPrevious)
}

// formSecrets returns the secrets that sign the forms of the console.
func (s *OpenStore) formSecrets() ([][32]byte, error) { return s.Encrypter.Derive("console forms") }
