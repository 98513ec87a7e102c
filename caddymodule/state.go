package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// states holds what outlives a reload, by a fingerprint of all that changes its meaning.
var states = caddy.NewUsagePool()

// state is the keys and what the gate remembers about them. Handlers of an old configuration go on using it for their
// requests after it was let go, so everything in it stays readable.
type state struct {
	store      *keys.Store
	verifier   *keys.Verifier
	syncer     *keys.Syncer
	belongings *policy.Belongings

	logger  atomic.Pointer[zap.Logger] // of the newest configuration
	loaded  atomic.Bool                // every feed was read once
	once    sync.Once
	ctx     context.Context // of the watchers
	stop    context.CancelFunc
	watched sync.WaitGroup
}

// fingerprint names what the app's state depends on. It must be taken before the feeds are loaded, which clears their
// JSON.
func (a *App) fingerprint() (string, error) {
	text, err := json.Marshal([]any{a.FeedsRaw, a.version.Name, a.token.IsZero()})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// takeState gets the state that a former configuration left, with its keys read again, or makes a new one. A feed that
// cannot be read is an error in both cases: the new configuration is refused, and an old one goes on with its keys.
func (a *App) takeState(ctx context.Context, fingerprint string, feeds []keys.Feed) error {
	value, loaded, err := states.LoadOrNew(fingerprint, func() (caddy.Destructor, error) {
		return newState(ctx, feeds, a.logger)
	})
	if err != nil {
		return err
	}
	a.poolKey, a.state = fingerprint, value.(*state)
	if loaded {
		return a.state.syncer.Reload(ctx)
	}
	return nil
}

func newState(ctx context.Context, feeds []keys.Feed, logger *zap.Logger) (*state, error) {
	s := &state{store: keys.NewStore(), belongings: policy.NewBelongings(0)}
	s.logger.Store(logger)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.syncer = keys.NewSyncer(s.store, feeds, s)
	var err error
	if s.verifier, err = keys.NewVerifier(s.store, keys.CacheConfig{}); err != nil {
		return nil, err
	}
	if err := s.syncer.LoadAll(ctx); err != nil {
		s.verifier.Close()
		return nil, err
	}
	s.loaded.Store(true)
	return s, nil
}

// start begins to watch the feeds, once, and logs to the newest configuration's log from now on.
func (s *state) start(logger *zap.Logger) {
	s.logger.Store(logger)
	s.once.Do(func() {
		s.watched.Go(func() { s.syncer.Run(s.ctx) })
	})
}

// Destruct ends the watchers. It implements caddy.Destructor.
func (s *state) Destruct() error {
	s.stop()
	s.watched.Wait()
	s.verifier.Close()
	return nil
}

// FeedLoaded implements keys.Observer.
func (s *state) FeedLoaded(feed string, count int, change keys.Change, _ time.Time) {
	s.logger.Load().Info("keys loaded", zap.String("feed", feed), zap.Int("keys", count),
		zap.Int("added", change.Added), zap.Int("updated", change.Updated), zap.Int("removed", change.Removed))
}

// FeedFailed implements keys.Observer. A failure at the very start is the configuration's, which is refused with it.
func (s *state) FeedFailed(feed string, err error, _ time.Time) {
	if !s.loaded.Load() {
		return
	}
	s.logger.Load().Error("keys not loaded; the last good ones stay in force",
		zap.String("feed", feed), zap.Error(err))
}
