package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/console"
	"github.com/docsgate/docsgate/keys/usage"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// registries holds the open stores by StoreLocation.poolKey, since two configurations share one during a reload.
var registries = caddy.NewUsagePool()

// registryRef is an open registry with its data that outlives a reload.
type registryRef struct {
	*OpenStore
	shared         *sharedIDs // nil for a file
	usage          *usage.Counter
	history        *series.History
	memory         *console.SharedState // sessions and throttles of the console
	key            string               // in registries
	rulesInstalled atomic.Bool          // rules were installed once
	stop           context.CancelFunc
	saved          sync.WaitGroup
}

// acquireRegistry opens a store, or returns the open one. The caller must call release.
func acquireRegistry(ctx context.Context, at StoreLocation, logger *slog.Logger) (*registryRef, error) {
	value, _, err := registries.LoadOrNew(at.poolKey(), func() (caddy.Destructor, error) {
		meter := usage.NewMeter()
		store, err := at.FollowStore(ctx, meter, logger)
		if err != nil {
			return nil, err
		}
		s := &registryRef{OpenStore: store, usage: meter, history: at.NewHistory(store, logger), memory: console.NewSharedState(), key: at.poolKey()}
		if store.Database != nil {
			s.memory = console.NewStoredState(store.Database, store.Database, store.formSecrets)
			if s.shared, err = newSharedIDs(store, logger); err != nil {
				return nil, errors.Join(err, store.Close())
			}
		}
		var saving context.Context
		saving, s.stop = context.WithCancel(context.Background())
		s.saved.Go(func() { store.Run(saving) })
		s.saved.Go(func() { s.history.Run(saving) })
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*registryRef), nil
}

func (s *registryRef) release() error {
	_, err := registries.Delete(s.key)
	return err
}

// Destruct implements caddy.Destructor. It closes the store.
func (s *registryRef) Destruct() error {
	s.stop()
	s.saved.Wait()
	if s.shared != nil {
		s.shared.close()
	}
	return errors.Join(s.history.Close(), s.Close())
}
