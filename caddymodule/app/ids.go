package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/ownership/blocklist"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// DefaultIDsPath returns the path of the files about IDs of a backend without the feed store, without their extension. backend is its name;
// empty: the default one.
func DefaultIDsPath(backend string) string { return filepath.Join(dataDir(backend), "ids") }

// IDsPath returns the path of the files about IDs beside a key store, without their extension.
func IDsPath(store string) string { return store + ".ids" }

// Extensions of the files about IDs.
const (
	IDSecretsExt   = ".secret"  // the secrets that sign IDs
	IDBlocklistExt = ".blocked" // the conversations that no key may use
)

// IDs is what a backend needs to give clients IDs that it recognizes later.
type IDs struct {
	Signer  *signedid.Signer
	Blocked Blocklist // for conversations of keys whose tool calls are rejected
}

// Blocklist is a list of blocked conversations: a *blocklist.List of one gate, or a *blocklist.Shared.
type Blocklist interface {
	// Identity identifies the content of the list since it was created.
	Identity() blocklist.Identity

	// Add blocks a conversation for a key. It reports false if the conversation was blocked before. After an error the conversation must
	// not be used.
	Add(ctx context.Context, key blocklist.Key, id string, now time.Time) (added bool, err error)

	// Remove unblocks a conversation, if it is blocked.
	Remove(id string)

	// Blocked reports whether a conversation is blocked, or it is unknown whether it is.
	Blocked(ctx context.Context, id string) bool
}

// IDs returns the backend's IDs.
func (b *Backend) IDs() *IDs {
	if b.sharedIDs != nil {
		return b.sharedIDs.current.Load()
	}
	return b.ids.Load()
}

// idStates holds the state about IDs by its path, since two configurations share it during a reload.
var idStates = caddy.NewUsagePool()

// idState is what outlives a reload.
type idState struct {
	path    string // without an extension
	memory  signedid.Secret
	blocked *blocklist.List
	once    sync.Once
	started bool
}

// acquireIDs reads the secrets that sign IDs. A damaged file is an error. Without a file, which startIDs creates, the secret is in memory.
func (b *Backend) acquireIDs() error {
	if b.state.registry != nil && b.state.registry.shared != nil {
		b.sharedIDs = b.state.registry.shared
		return nil
	}
	path := DefaultIDsPath(b.name)
	if b.storeFeed != nil {
		path = IDsPath(b.storeFeed.location.local)
	}
	secrets, err := signedid.ReadFile(path + IDSecretsExt)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	value, _, err := idStates.LoadOrNew(path, func() (caddy.Destructor, error) {
		return &idState{path: path, memory: signedid.RandomSecret(0), blocked: blocklist.New(signedid.MaxAge)}, nil
	})
	if err != nil {
		return err
	}
	b.idState = value.(*idState)
	return b.setIDSecrets(secrets)
}

// setIDSecrets sets the secrets of the backend. nil: the one in memory.
func (b *Backend) setIDSecrets(secrets []signedid.Secret) error {
	if secrets == nil {
		secrets = []signedid.Secret{b.idState.memory}
	}
	signer, err := signedid.New(secrets...)
	if err != nil {
		return err
	}
	b.ids.Store(&IDs{Signer: signer, Blocked: b.idState.blocked})
	return nil
}

// startIDs creates the file with the secret, and opens the list of blocked conversations, once. Neither must take the gate down: without
// the files, clients lose their conversations when the process ends. With a database both are there.
func (b *Backend) startIDs() error {
	if b.sharedIDs != nil {
		return b.sharedIDs.start(b.ctx)
	}
	secrets, err := signedid.ReadOrCreateFile(b.idState.path + IDSecretsExt)
	if err != nil {
		b.logger.Warn("the secret that signs IDs is only in memory: clients lose their conversations, uploads and sessions when docsgate "+
			"restarts", zap.Error(err))
	}
	b.idState.start(b.slogger)
	return b.setIDSecrets(secrets)
}

// RotateIDSecret creates a secret that signs IDs, like OpenStore.RotateIDSecret, and uses it. The backend must have the feed store.
func (b *Backend) RotateIDSecret(ctx context.Context, by registry.Actor, delay time.Duration, endPrevious bool) (number uint8, err error) {
	number, err = b.state.registry.RotateIDSecret(ctx, by, delay, endPrevious)
	switch {
	case err != nil:
		return 0, err
	case b.sharedIDs != nil:
		return number, nil // the gate follows the database
	}
	secrets, err := signedid.ReadFile(b.idState.path + IDSecretsExt)
	if err == nil {
		err = b.setIDSecrets(secrets)
	}
	return number, err
}

func (s *idState) start(logger *slog.Logger) {
	s.once.Do(func() {
		s.started = true
		s.blocked.Open(s.path+IDBlocklistExt, logger)
	})
}

func (s *idState) release() error {
	_, err := idStates.Delete(s.path)
	return err
}

// Destruct implements caddy.Destructor. It saves the list.
func (s *idState) Destruct() error {
	if !s.started {
		return nil
	}
	return s.blocked.Close()
}
