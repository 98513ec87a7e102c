package replica_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/storagetest"
	"github.com/docsgate/docsgate/keys/replica"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var alice = registry.Actor{Name: "alice", RemoteAddr: "192.0.2.1"}

// setup is what a gate is started with. It stays when the gate is started again.
type setup struct {
	database string
	proxy    *feedtest.Proxy // between the gate and the database
	path     string          // of the copy
	secret   string
	maxStale time.Duration
	losses   chan struct{}
}

// newSetup returns a gate of its own for a database.
func newSetup(t testing.TB, database string) *setup {
	t.Helper()
	dir := t.TempDir()
	return &setup{
		database: database, proxy: feedtest.NewProxy(t, pgtest.Host()), path: filepath.Join(dir, "store.copy"), secret: filepath.Join(dir, "secret"),
		losses: make(chan struct{}, 100),
	}
}

func (s *setup) uri() keys.Secret {
	return keys.NewSecret(strings.Replace(pgtest.URI("postgres", s.database), pgtest.Host(), s.proxy.Addr(), 1))
}

// open opens a storage, which the caller closes.
func (s *setup) open(t testing.TB) *replica.Storage {
	t.Helper()
	remote, err := pgstore.New(pgstore.Options{URI: s.uri(), Timeout: 2 * time.Second, PollInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	storage, err := replica.Open(replica.Options{
		Remote: remote, Path: s.path, MaxStale: s.maxStale, OnLoss: func() { s.losses <- struct{}{} },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return storage
}

// gate is a registry with the keys in memory that follow it, as in a gate.
type gate struct {
	*registry.Registry
	*feedtest.Harness
	storage *replica.Storage
	halt    func() // stops the gate
}

// start starts a gate. It is stopped at the end of the test, or by halt.
func (s *setup) start(t testing.TB, others ...keys.Feed) *gate {
	t.Helper()
	storage := s.open(t)
	r, err := registry.New(registry.Options{Storage: storage, Encrypter: registry.NewEncrypter(s.secret)})
	if err != nil {
		t.Fatal(err)
	}
	feed := r.Feed()
	h := feedtest.RunFeeds(t, append([]keys.Feed{feed}, others...), func(store *keys.Store) { r.ApplyOverrides(store) })
	r.OnChange(func(ctx context.Context) error { return h.Syncer.Sync(ctx, feed.Name()) })
	g := &gate{Registry: r, Harness: h, storage: storage}
	closed := false
	g.halt = func() {
		if !closed {
			closed = true
			h.Stop()
			_ = r.Close()
		}
	}
	t.Cleanup(g.halt)
	return g
}

func (g *gate) create(t testing.TB, name string) (id, token string) {
	t.Helper()
	made, err := g.Create(t.Context(), alice, registry.CreateRequest{Name: name, Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}})
	if err != nil {
		t.Fatal(err)
	}
	return made.Record.ID, made.Token.Reveal()
}

func (g *gate) revoke(t testing.TB, id string) {
	t.Helper()
	if _, err := g.Revoke(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
}

func TestStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) registry.Storage { return newSetup(t, pgtest.Database(t)).open(t) })
}

func TestSharedStorage(t *testing.T) {
	storagetest.RunShared(t, func(t *testing.T) registry.SharedStorage { return newSetup(t, pgtest.Database(t)).open(t) })
}
