package app

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

	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/internal/redact"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
	"github.com/docsgate/docsgate/ownership"
)

// states holds the state that outlives a reload, by a fingerprint of the configuration that it depends on.
var states = caddy.NewUsagePool()

// State holds the keys and the data about them that outlives a reload. Handlers of an old configuration use it for
// their requests in flight even after it is closed, so all of it stays readable.
type State struct {
	Store     *keys.Store
	Verifier  *keys.Verifier
	Syncer    *keys.Syncer
	Ownership *ownership.Index
	Index     *keyindex.Index
	Origins   *keys.Origins
	Usage     *usage.Counter
	Activity  *activity.Log

	counters      *Counters        // of its backend
	registry      *registryBinding // nil without the feed store
	feeds         []keys.Feed
	loggedFeeds   sync.Map // names of feeds whose first load since a failure was logged
	loggedSkipped sync.Map // name of a feed -> last log text about skipped keys

	unregister  func()      // from the keys whose tokens are not logged
	toolsWarned atomic.Bool // warnOfTools has logged

	logger  atomic.Pointer[zap.Logger] // logger of the newest configuration
	loaded  atomic.Bool                // every feed was loaded once
	once    sync.Once
	ctx     context.Context // context of the watchers
	stop    context.CancelFunc
	watched sync.WaitGroup
}

// fingerprint returns a digest of the configuration that the shared state depends on. It must be called before the feeds
// are loaded, which clears their JSON.
func (b *Backend) fingerprint() (string, error) {
	text, err := json.Marshal([]any{b.FeedsRaw, b.version.Name, b.token.IsZero()})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return b.name + ":" + hex.EncodeToString(sum[:]), nil
}

// registryBinding connects a state with the registry of the keys that the gate issues.
type registryBinding struct {
	*registryRef
	feed   string // name of its feed in the store
	unhook func() // ends its use of the registry

	rulesMu     sync.Mutex // guards withdraw
	removeRules func()     // removes the installed rules; nil: none are installed
}

// installRules installs the rules for issued keys. Rules depend only on the fingerprint of the state, and installing them
// checks every key, so it is done once. Later calls only check the keys again, since the agents in environment variables
// and files may have changed.
func (i *registryBinding) installRules(rules registry.Rules) {
	i.rulesMu.Lock()
	defer i.rulesMu.Unlock()
	if i.removeRules == nil {
		i.removeRules = i.PushRules(rules)
		return
	}
	i.Recheck()
}

// acquireState returns the state of a previous configuration after reloading its keys, or creates one. A feed that cannot
// be loaded is an error in both cases: the new configuration is rejected, and an old one keeps its keys.
func (b *Backend) acquireState(ctx context.Context, fingerprint string, feeds []keys.Feed) error {
	value, loaded, err := states.LoadOrNew(fingerprint, func() (caddy.Destructor, error) {
		return b.newState(ctx, feeds)
	})
	if err != nil {
		return err
	}
	b.poolKey, b.state = fingerprint, value.(*State)
	if loaded {
		return b.state.Syncer.Reload(ctx)
	}
	return nil
}

func (b *Backend) newState(ctx context.Context, feeds []keys.Feed) (_ *State, err error) {
	s := &State{
		Store: keys.NewStore(), Ownership: ownership.NewIndex(0), Index: keyindex.New(), Usage: usage.NewMeter(),
		feeds: feeds, counters: b.counters,
	}
	s.Store.Listen(s.Index)
	s.Origins, s.Activity = keys.NewOrigins(s.Store), activity.New()
	s.Store.Listen(s.Activity.Replaced)
	s.unregister = redact.Register(s)
	s.logger.Store(b.logger)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.Syncer = keys.NewSyncer(s.Store, feeds, s)
	if s.Verifier, err = keys.NewVerifier(s.Store, keys.CacheConfig{}); err != nil {
		s.unregister()
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if b.storeFeed != nil && b.storeFeed.registry != nil {
		if err := s.attachRegistry(ctx, b); err != nil {
			return nil, err
		}
	}
	if err := s.Syncer.LoadAll(ctx); err != nil {
		return nil, err
	}
	s.loaded.Store(true)
	if s.registry != nil {
		// Keys may be bound to agents of feeds that were loaded after the registry.
		if err := s.Syncer.Sync(ctx, s.registry.feed); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// freeOSMemoryAbove is the number of keys above which memory is returned to the system after the first load.
const freeOSMemoryAbove = 10_000

// attachRegistry connects the state with the registry, so that each change is in the store before the writer is told that
// it succeeded.
func (s *State) attachRegistry(ctx context.Context, b *Backend) error {
	ref, err := acquireRegistry(ctx, b.storeFeed.location, b.slogger)
	if err != nil {
		return err
	}
	s.Usage = ref.usage
	s.registry = &registryBinding{registryRef: ref, feed: ref.Feed().Name()}
	stopSync := ref.OnChange(func(ctx context.Context) error { return s.Syncer.Sync(ctx, s.registry.feed) })
	stopOverrides := ref.ApplyOverrides(s.Store)
	s.registry.unhook = func() { stopSync(); stopOverrides() }
	s.Store.Listen(ref.Registry) // issued keys may be bound to agents of other feeds
	if !ref.rulesInstalled.Swap(true) {
		s.registry.installRules(b.rules(s)) // no other configuration has rules, so a rejected one does no harm
	}
	return nil
}

// rules returns the configuration's rules for issued keys.
func (b *Backend) rules(s *State) registry.Rules {
	return registry.Rules{
		CheckSource:  b.version.CheckSource,
		CheckSources: b.sourcesCheck(),
		Resolve:      placeholder.Reference,
		AgentOf: func(id string) (keys.Secret, bool) {
			key := s.Store.Get(id)
			if key == nil || key.Feed == s.registry.feed || key.Binding.Kind() != keys.AgentBinding {
				return keys.Secret{}, false
			}
			return key.Binding.Agent, true
		},
		FeedOf: func(id string, d keys.Digest) string {
			for _, key := range []*keys.Key{s.Store.Get(id), s.Store.Lookup(d)} {
				if key != nil && key.Feed != s.registry.feed {
					return key.Feed
				}
			}
			return ""
		},
	}
}

// start starts to watch the feeds, once, and switches to the logger of the newest configuration.
func (s *State) start(logger *zap.Logger) {
	s.logger.Store(logger)
	s.counters.follow(s)
	s.once.Do(func() {
		if s.Store.Len() > freeOSMemoryAbove {
			go debug.FreeOSMemory() // loading leaves garbage of twice the size of the keys
		}
		s.watched.Go(func() { s.Syncer.Run(s.ctx) })
	})
}

// Destruct implements caddy.Destructor. It stops the watchers and closes the state.
func (s *State) Destruct() error {
	s.counters.unfollow(s)
	s.stop()
	s.watched.Wait()
	return s.close()
}

// close releases everything but the watchers.
func (s *State) close() error {
	s.unregister()
	s.Verifier.Close()
	if s.registry == nil {
		return nil
	}
	s.registry.unhook()
	s.registry.rulesMu.Lock()
	defer s.registry.rulesMu.Unlock()
	if s.registry.removeRules != nil {
		s.registry.removeRules()
	}
	return s.registry.release()
}

// FeedLoaded implements keys.Observer.
func (s *State) FeedLoaded(feed string, count int, change keys.Change, _ time.Time) {
	level := zap.InfoLevel
	if _, logged := s.loggedFeeds.LoadOrStore(feed, true); logged && change.IsZero() {
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

// skipper is a feed that may skip keys.
type skipper interface{ Skipped() []docsgptkeys.Skipped }

// logSkipped logs which keys were skipped: the first few, since a filter may exclude thousands.
func (s *State) logSkipped(feed string, skipped []docsgptkeys.Skipped) {
	if len(skipped) == 0 {
		return
	}
	first := skipped[:min(len(skipped), 5)]
	words := make([]string, len(first))
	for i, l := range first {
		words[i] = docsgptkeys.KeyID(l.ID) + ": " + l.Reason
	}
	if last, _ := s.loggedSkipped.Swap(feed, strings.Join(words, "\n")); last == strings.Join(words, "\n") {
		return
	}
	s.logger.Load().Info("agent keys skipped", zap.String("feed", feed), zap.Int("keys", len(skipped)), zap.Strings("first", words))
}

// FeedFailed implements keys.Observer. A failure of the first load is not logged: the configuration is rejected with it,
// unless the database is only unavailable.
func (s *State) FeedFailed(feed string, err error, _ time.Time) {
	if stale := (*keys.StaleError)(nil); !s.loaded.Load() && !errors.As(err, &stale) {
		return
	}
	s.loggedFeeds.Delete(feed) // so that the next successful load is logged
	message := "loading keys failed; the previous keys stay in use"
	if _, partly := errors.AsType[*keys.ConflictError](err); partly {
		message = "some keys are not valid because they conflict with others; the other keys of the feed are loaded"
	}
	s.logger.Load().Error(message, zap.String("feed", feed), zap.Error(err))
}
