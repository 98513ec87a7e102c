package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/console"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

func init() {
	caddy.RegisterModule(new(StoreFeed))
}

// StoreFeed provides the keys that the gate issues through the console, the API and the command line. They are stored in one
// file, which only one process can open.
//
//	feed store [<path>]
type StoreFeed struct {
	// The path of the file, which is created if it does not exist. Placeholders are replaced when the configuration is
	// loaded. Default: docsgate/keys.db in Caddy's data directory, or docsgate/<name>/keys.db for a named backend.
	Path string `json:"path,omitempty"`

	path     string
	registry *registryRef
	locked   error // set if another process has the file open
}

// DefaultStorePath returns the default of StoreFeed.Path. backend is the name of a backend; empty: the default one.
func DefaultStorePath(backend string) string { return filepath.Join(dataDir(backend), "keys.db") }

// CaddyModule returns the Caddy module information.
func (*StoreFeed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "docsgate.feeds.store", New: func() caddy.Module { return new(StoreFeed) }}
}

// UnmarshalCaddyfile sets up the feed from "store [<path>]".
func (f *StoreFeed) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		f.Path = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("unrecognized subdirective '%s': the feed store takes only a path", d.Val())
	}
	return nil
}

// Provision opens the store, or shares it with a previous configuration.
func (f *StoreFeed) Provision(ctx caddy.Context) error {
	f.path = DefaultStorePath(backendOf(ctx))
	if f.Path != "" {
		path, err := caddy.NewReplacer().ReplaceOrErr(f.Path, true, true)
		if err != nil || path == "" {
			return errors.Join(errors.New("feed store: the path must not be empty"), err)
		}
		f.path = path
	}
	absolute, err := filepath.Abs(f.path)
	if err != nil {
		return fmt.Errorf("feed store: %w", err)
	}
	f.path = absolute
	ref, err := acquireRegistry(ctx, absolute, sloggerOf(ctx))
	switch {
	case errors.Is(err, boltstore.ErrLocked):
		// Not an error yet: `validate` must work while a gate runs with the same configuration. App.Start returns it.
		f.locked = fmt.Errorf("feed store: %w", err)
	case err != nil:
		return fmt.Errorf("feed store: %w", err)
	}
	f.registry = ref
	return nil
}

// Feed implements FeedModule. It returns nil if another process has the file open.
func (f *StoreFeed) Feed(FeedDeps) (keys.Feed, error) {
	if f.registry == nil {
		return nil, nil //nolint:nilnil // App.Start returns the error
	}
	return f.registry.Feed(), nil
}

// Cleanup releases the store.
func (f *StoreFeed) Cleanup() error {
	if f.registry == nil {
		return nil
	}
	return f.registry.release()
}

// registries holds the open stores by path, since two configurations share one during a reload.
var registries = caddy.NewUsagePool()

// registryRef is an open registry with its data that outlives a reload.
type registryRef struct {
	*registry.Registry
	usage          *usage.Counter
	memory         *console.SharedState // sessions and throttles of the console
	path           string
	rulesInstalled atomic.Bool // rules were installed once
	stop           context.CancelFunc
	saved          sync.WaitGroup
}

// acquireRegistry opens the store at a path, or returns the open one. The caller must call release.
func acquireRegistry(ctx context.Context, path string, logger *slog.Logger) (*registryRef, error) {
	value, _, err := registries.LoadOrNew(path, func() (caddy.Destructor, error) {
		storage, err := boltstore.Open(ctx, boltstore.Options{Path: path})
		if err != nil {
			return nil, err
		}
		meter := usage.NewMeter()
		reg, err := registry.New(registry.Options{
			Storage: storage, Encrypter: registry.NewEncrypter(path + ".secret"), Usage: meter, Log: logger,
		})
		if err != nil {
			return nil, errors.Join(err, storage.Close())
		}
		s := &registryRef{Registry: reg, usage: meter, memory: console.NewSharedState(), path: path}
		var saving context.Context
		saving, s.stop = context.WithCancel(context.Background())
		s.saved.Go(func() { reg.Run(saving) })
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*registryRef), nil
}

func (s *registryRef) release() error {
	_, err := registries.Delete(s.path)
	return err
}

// Destruct implements caddy.Destructor. It closes the store.
func (s *registryRef) Destruct() error {
	s.stop()
	s.saved.Wait()
	return s.Close()
}

var (
	_ FeedModule            = (*StoreFeed)(nil)
	_ caddy.Provisioner     = (*StoreFeed)(nil)
	_ caddy.CleanerUpper    = (*StoreFeed)(nil)
	_ caddyfile.Unmarshaler = (*StoreFeed)(nil)
)
