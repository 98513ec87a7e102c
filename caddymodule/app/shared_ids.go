package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/docsgate/docsgate/keys/idsecrets"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/ownership/blocklist"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// idCopyExt is the extension of the copy of the secrets that sign IDs, for a start while the database is unavailable.
const idCopyExt = ".ids"

// sharedIDs are the IDs of all gates with the same database.
type sharedIDs struct {
	store   *OpenStore
	logger  *slog.Logger
	current atomic.Pointer[IDs]

	mu      sync.Mutex // guards the following
	started bool
	stop    context.CancelFunc
	running sync.WaitGroup
	blocked *blocklist.Shared
}

// newSharedIDs returns IDs that no other gate recognizes until start has succeeded.
func newSharedIDs(store *OpenStore, logger *slog.Logger) (*sharedIDs, error) {
	signer, err := signedid.New(signedid.RandomSecret(0))
	if err != nil {
		return nil, err
	}
	s := &sharedIDs{store: store, logger: logger}
	s.current.Store(&IDs{Signer: signer, Blocked: blocklist.New(signedid.MaxAge)})
	return s, nil
}

// start checks the secrets that encrypt the database, and creates the first one if the database is new. Then it follows the secrets that
// sign IDs. If the database is unavailable, it is checked later. After an error it can be called again, and otherwise only once.
func (s *sharedIDs) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return nil
	}
	err := s.prepare(ctx)
	unchecked := errors.Is(err, registry.ErrUnavailable)
	if unchecked {
		s.logger.Warn("the secrets that encrypt the key store are checked when its database is available", "error", err)
	} else if err != nil {
		return err
	}
	blocked := blocklist.NewShared(s.store.Database, signedid.MaxAge, s.logger)
	name, _ := os.Hostname() // only for operators
	secrets, err := idsecrets.New(ctx, idsecrets.Options{
		Storage: s.store.Database, Encrypter: s.store.Encrypter, Cache: s.store.location.local + idCopyExt, Name: name, Log: s.logger,
		OnChange: func(ids *idsecrets.IDs) {
			blocked.SetIdentity(ids.Blocklist)
			s.current.Store(&IDs{Signer: ids.Signer, Blocked: blocked})
		},
	})
	if err != nil {
		blocked.Close()
		return err
	}
	s.started, s.blocked = true, blocked
	ctx, s.stop = context.WithCancel(context.Background())
	s.running.Go(func() {
		if unchecked {
			s.prepareLater(ctx)
		}
		secrets.Run(ctx)
	})
	s.running.Go(func() { s.followSecrets(ctx) })
	return nil
}

// prepare checks the secrets that encrypt the database, and imports those that sign IDs.
func (s *sharedIDs) prepare(ctx context.Context) error {
	if err := s.store.Encrypter.CheckShared(ctx); err != nil {
		return err
	}
	return s.importSecrets(ctx)
}

// importSecrets stores the secrets of a file, which the operator has copied from a gate with a store file, in a database that has none.
func (s *sharedIDs) importSecrets(ctx context.Context) error {
	path := IDsPath(s.store.location.local) + IDSecretsExt
	secrets, err := signedid.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = idsecrets.Import(ctx, s.store.Database, s.store.Encrypter, secrets)
	if err == nil {
		s.logger.Info("imported the secrets that sign IDs to the database", "file", path)
	}
	if errors.Is(err, idsecrets.ErrNotEmpty) {
		return nil
	}
	return err
}

// close ends what start has begun.
func (s *sharedIDs) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return
	}
	s.stop()
	s.running.Wait()
	s.blocked.Close()
}
