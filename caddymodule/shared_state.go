package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
	"github.com/docsgate/docsgate/ownership"
)

// states holds what outlives a reload, by a fingerprint of all that changes its meaning.
var states = caddy.NewUsagePool()

// sharedState is the keys and what the gate remembers about them. Handlers of an old configuration go on using it for their
// requests after it was let go, so everything in it stays readable.
type sharedState struct {
	store      *keys.Store
	verifier   *keys.Verifier
	syncer     *keys.Syncer
	belongings *ownership.Index
	catalog    *keyindex.Index
	usage      *usage.Counter
	issued     *registryBinding // nil without a feed of keys that the gate issues
	feeds      []keys.Feed
	announced  sync.Map // names of feeds whose keys were logged, and that have not failed since
	leftOut    sync.Map // name of a feed -> what was last said about keys that it left out

	toolsWarned atomic.Bool // the operator was warned of the tools of the upstream credential's account

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

// registryBinding is a state's hold on the registry of the keys that the gate issues.
type registryBinding struct {
	*registryRef
	feed   string // its name in the store
	unhook func()

	ruling   sync.Mutex // guards withdraw
	withdraw func()     // takes back the rules that its configurations have for issued keys; nil if they gave none yet
}

// installRules puts the rules of the state's configurations in force. They depend on nothing that its fingerprint does not cover, and
// new ones cost a look at every key, so once is enough; but variables and files may hold another agent since then.
func (i *registryBinding) installRules(rules registry.Policy) {
	i.ruling.Lock()
	defer i.ruling.Unlock()
	if i.withdraw == nil {
		i.withdraw = i.PushRules(rules)
		return
	}
	i.Recheck()
}

// acquireState gets the state that a former configuration left, with its keys read again, or makes a new one. A feed that
// cannot be read is an error in both cases: the new configuration is refused, and an old one goes on with its keys.
func (a *App) acquireState(ctx context.Context, fingerprint string, feeds []keys.Feed) error {
	value, loaded, err := states.LoadOrNew(fingerprint, func() (caddy.Destructor, error) {
		return a.newState(ctx, feeds)
	})
	if err != nil {
		return err
	}
	a.poolKey, a.state = fingerprint, value.(*sharedState)
	if loaded {
		return a.state.syncer.Reload(ctx)
	}
	return nil
}

func (a *App) newState(ctx context.Context, feeds []keys.Feed) (_ *sharedState, err error) {
	s := &sharedState{
		store: keys.NewStore(), belongings: ownership.NewIndex(0), catalog: keyindex.New(), usage: usage.NewMeter(),
		feeds: feeds,
	}
	s.store.Listen(s.catalog)
	s.logger.Store(a.logger)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.syncer = keys.NewSyncer(s.store, feeds, s)
	if s.verifier, err = keys.NewVerifier(s.store, keys.CacheConfig{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if a.storeFeed != nil && a.storeFeed.registry != nil {
		if err := s.attachRegistry(ctx, a); err != nil {
			return nil, err
		}
	}
	if err := s.syncer.LoadAll(ctx); err != nil {
		return nil, err
	}
	s.loaded.Store(true)
	if s.issued != nil {
		// Agents of feeds that were loaded after the registry's.
		if err := s.syncer.Sync(ctx, s.issued.feed); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// freeOSMemoryAbove is from where on it is worth it to give the memory back that reading keys took.
const freeOSMemoryAbove = 100_000

// attachRegistry makes what is written to the registry count here before the writer hears of it.
func (s *sharedState) attachRegistry(ctx context.Context, a *App) error {
	held, err := acquireRegistry(ctx, a.storeFeed.path, a.ctx.Slogger())
	if err != nil {
		return err
	}
	s.usage = held.usage
	s.issued = &registryBinding{registryRef: held, feed: held.Feed().Name()}
	s.issued.unhook = held.OnChange(func(ctx context.Context) error { return s.syncer.Sync(ctx, s.issued.feed) })
	s.store.Listen(held.Registry) // keys may stand for agents of other feeds
	if !held.ruled.Swap(true) {
		s.issued.installRules(a.rules(s)) // nobody else's are in force that a refused configuration could spoil
	}
	return nil
}

// rules are what a configuration says about keys that are issued.
func (a *App) rules(s *sharedState) registry.Policy {
	return registry.Policy{
		CheckSource:  a.version.CheckSource,
		CheckSources: a.sourcesCheck(),
		Resolve:      resolveReference,
		AgentOf: func(id string) (keys.Secret, bool) {
			key := s.store.Get(id)
			if key == nil || key.Feed == s.issued.feed || key.Binding.Kind() != keys.AgentBinding {
				return keys.Secret{}, false
			}
			return key.Binding.Agent, true
		},
		FeedOf: func(id string, d keys.Digest) string {
			for _, key := range []*keys.Key{s.store.Get(id), s.store.Lookup(d)} {
				if key != nil && key.Feed != s.issued.feed {
					return key.Feed
				}
			}
			return ""
		},
	}
}

// start begins to watch the feeds, once, and logs to the newest configuration's log from now on.
func (s *sharedState) start(logger *zap.Logger) {
	s.logger.Store(logger)
	s.once.Do(func() {
		if s.store.Len() > freeOSMemoryAbove {
			go debug.FreeOSMemory() // reading them leaves twice as much behind as they take
		}
		s.watched.Go(func() { s.syncer.Run(s.ctx) })
	})
}

// Destruct ends the watchers. It implements caddy.Destructor.
func (s *sharedState) Destruct() error {
	s.stop()
	s.watched.Wait()
	return s.close()
}

// close ends what does not watch.
func (s *sharedState) close() error {
	s.verifier.Close()
	if s.issued == nil {
		return nil
	}
	s.issued.unhook()
	s.issued.ruling.Lock()
	defer s.issued.ruling.Unlock()
	if s.issued.withdraw != nil {
		s.issued.withdraw()
	}
	return s.issued.release()
}

// FeedLoaded implements keys.Observer.
func (s *sharedState) FeedLoaded(feed string, count int, change keys.Change, _ time.Time) {
	level := zap.InfoLevel
	if _, said := s.announced.LoadOrStore(feed, true); said && change.IsZero() {
		level = zap.DebugLevel
	}
	s.logger.Load().Log(level, "keys loaded", zap.String("feed", feed), zap.Int("keys", count),
		zap.Int("added", change.Added), zap.Int("updated", change.Updated), zap.Int("removed", change.Removed))
	for _, f := range s.feeds {
		if a, ok := f.(skipper); ok && f.Name() == feed {
			s.logSkipped(feed, a.Skipped())
		}
	}
}

// skipper is a feed that does not take every key that it finds.
type skipper interface{ Skipped() []docsgptkeys.Skipped }

// logSkipped names keys that were not adopted, for an operator who wonders; few, since a filter may leave out thousands.
func (s *sharedState) logSkipped(feed string, left []docsgptkeys.Skipped) {
	if len(left) == 0 {
		return
	}
	first := left[:min(len(left), 5)]
	words := make([]string, len(first))
	for i, l := range first {
		words[i] = docsgptkeys.KeyID(l.ID) + ": " + l.Reason
	}
	if last, _ := s.leftOut.Swap(feed, strings.Join(words, "\n")); last == strings.Join(words, "\n") {
		return
	}
	s.logger.Load().Info("agent keys skipped", zap.String("feed", feed), zap.Int("keys", len(left)), zap.Strings("first", words))
}

// FeedFailed implements keys.Observer. A failure at the very start is the configuration's, which is refused with it; but not
// that of a database that is away.
func (s *sharedState) FeedFailed(feed string, err error, _ time.Time) {
	if stale := (*keys.StaleError)(nil); !s.loaded.Load() && !errors.As(err, &stale) {
		return
	}
	s.announced.Delete(feed) // so that the log says when it is well again
	message := "keys not loaded; the last good ones stay in force"
	if _, partly := errors.AsType[*keys.ConflictError](err); partly {
		message = "some keys do not count, since they are in conflict with others; all others of the feed do"
	}
	s.logger.Load().Error(message, zap.String("feed", feed), zap.Error(err))
}
