package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/keys/idsecrets"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/replica"
	"github.com/docsgate/docsgate/keys/usage"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// OpenStore is an open key store.
type OpenStore struct {
	*registry.Registry
	Encrypter *registry.Encrypter
	Database  *pgstore.Store // nil for a file
	location  StoreLocation
	writes    *writeState
}

// OpenStore opens the store, which Registry.Close closes. A file that another process has open is boltstore.ErrLocked. meter may be nil.
// The secrets of a database are not checked; see registry.Encrypter.CheckShared.
func (l StoreLocation) OpenStore(ctx context.Context, meter *usage.Counter, logger *slog.Logger) (*OpenStore, error) {
	encrypter, err := l.encrypter()
	if err != nil {
		return nil, err
	}
	storage, err := l.Open(ctx)
	if err != nil {
		return nil, err
	}
	database, _ := storage.(*pgstore.Store)
	return l.newOpenStore(storage, database, encrypter, meter, logger)
}

// FollowStore is OpenStore for a gate: it does not fail if the database is unavailable, and keeps a copy of the keys for that case. Nothing is
// written without the secrets of the database.
func (l StoreLocation) FollowStore(ctx context.Context, meter *usage.Counter, logger *slog.Logger) (*OpenStore, error) {
	if l.database == nil {
		return l.OpenStore(ctx, meter, logger)
	}
	encrypter, err := l.encrypter()
	if err != nil {
		return nil, err
	}
	database, err := pgstore.New(*l.database)
	if err != nil {
		return nil, err
	}
	storage, err := replica.Open(replica.Options{
		Remote: database, Path: l.local + ".copy", MaxStale: l.maxStale, Log: logger, OnLoss: lostWrites.Inc,
		BeforeWrite: encrypter.EnsureShared,
	})
	if err != nil {
		return nil, errors.Join(err, database.Close())
	}
	return l.newOpenStore(storage, database, encrypter, meter, logger)
}

// lostWrites counts failovers and restores after which writes are missing in the database of a key store.
var lostWrites = prometheus.NewCounter(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "docsgate", Name: "store_lost_writes_total",
	Help: "Times that the database of the key store had lost writes, by a failover or the restore of a backup.",
})

func (l StoreLocation) encrypter() (*registry.Encrypter, error) {
	if l.secret.IsZero() {
		return registry.NewEncrypter(l.secretPath()), nil
	}
	encrypter, err := registry.NewEncrypterOf(l.secret)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return encrypter, nil
}

// newOpenStore closes the storage after an error. database is nil for a file.
func (l StoreLocation) newOpenStore(
	storage registry.Storage, database *pgstore.Store, encrypter *registry.Encrypter, meter *usage.Counter, logger *slog.Logger,
) (*OpenStore, error) {
	s := &OpenStore{Encrypter: encrypter, Database: database, location: l, writes: &writeState{}}
	options := registry.Options{Storage: storage, Encrypter: encrypter, Usage: meter, Log: logger, OnWrite: s.writes.noteWrite}
	if database != nil {
		encrypter.Share(database)
		options.Claims = database
	}
	var err error
	if s.Registry, err = registry.New(options); err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	if database != nil {
		s.OnReencrypt(func(ctx context.Context, e *registry.Encrypter) (int, error) {
			return idsecrets.Reencrypt(ctx, database, e)
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
