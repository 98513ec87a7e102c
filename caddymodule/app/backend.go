package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
)

// Backend is one DocsGPT: the feeds of the keys for it, its credential and its version. Its keys, quotas, limits, signed IDs and
// sessions have no meaning for another backend, even where two have the same name, ID or token.
type Backend struct {
	// The feeds that keys come from, in order of precedence. Without a feed there are no keys, and every request that needs
	// one is rejected.
	FeedsRaw []json.RawMessage `json:"feeds,omitempty" caddy:"namespace=docsgate.feeds inline_key=feed"`

	// The credential for DocsGPT in requests of keys that are bound to sources: a personal access token (DocsGPT 1.x) or a
	// session token. It must be one placeholder, {env.NAME} or {file.PATH}, which is resolved when the configuration is
	// loaded. Default: none.
	UpstreamToken string `json:"upstream_token,omitempty"`

	// What to do about tools of the account of upstream_token, which DocsGPT may offer to the model. Default: a response
	// that reports a tool call ends with an error, and a warning is logged when the configuration is loaded. "none": the
	// same without the warning, if DocsGPT offers that account no tools. "allow": clients may use the tools; data of the
	// tools, such as memory and scheduled tasks, is then shared by all keys that are bound to sources.
	UpstreamTools string `json:"upstream_tools,omitempty"`

	// The version of DocsGPT, such as "0.16" or "1.1". "auto" detects it when the configuration is loaded, without a
	// credential. Default: the newest known version.
	DocsGPTVersion string `json:"docsgpt_version,omitempty"`

	// The address of the DocsGPT whose version "auto" detects. Default: the upstream of the first handler that has one.
	DocsGPTAddress string `json:"docsgpt_address,omitempty"`

	// What a million tokens of the model cost. The console, the API and the commands then show the cost of tokens. Default: unknown.
	TokenPrice *tokenprice.Price `json:"token_price,omitempty"`

	app      *App
	name     string // empty: the default backend
	used     bool   // a handler refers to it
	counters *Counters

	version *docsgpt.Version // nil until it is resolved
	versionDetection
	token        keys.Secret
	poolKey      string
	state        *State
	storeFeed    *StoreFeed  // nil without the feed store
	addresses    string      // digests of the resolved addresses of feeds; part of the state's key
	quotas       *quotaSaver // nil until the version is resolved, and while another process has the key store open
	idState      *idState    // nil until the version is resolved, and with sharedIDs
	sharedIDs    *sharedIDs  // nil unless the feed store is a database
	ids          atomic.Pointer[IDs]
	detachTokens func()      // undoes attachTokens; nil: it was not called
	forwarders   []Forwarder // handlers with an upstream
	publicURL    string      // of the last console that has one
	startHooks   []startHook // of other modules
	healthChecks []func(ctx context.Context) []HealthCheck
	collectors   []prometheus.Collector
	logger       *zap.Logger
	slogger      *slog.Logger
}

// provision loads the feeds, unless that waits for the version of DocsGPT.
func (b *Backend) provision() error {
	if b.UpstreamToken != "" {
		secret, err := placeholder.Secret(b.UpstreamToken)
		if err != nil {
			return fmt.Errorf("upstream_token: %w", err)
		}
		b.token = keys.NewSecret(secret)
	}
	if err := checkUpstreamTools(b.UpstreamTools); err != nil {
		return err
	}
	if b.TokenPrice != nil {
		if err := b.TokenPrice.Validate(); err != nil {
			return fmt.Errorf("token_price: %w", err)
		}
	}
	switch {
	case b.DocsGPTVersion != docsgpt.Auto && b.DocsGPTAddress != "":
		return errors.New("docsgpt_address needs docsgpt_version auto")
	case b.DocsGPTVersion == docsgpt.Auto && b.DocsGPTAddress != "":
		return b.resolveVersionAt()
	case b.DocsGPTVersion == docsgpt.Auto:
		return nil
	}
	version, err := docsgpt.FindVersion(b.DocsGPTVersion)
	if err != nil {
		return err
	}
	return b.setVersion(version)
}

// setVersion sets the version, then loads the feeds and the shared state, which depend on it.
func (b *Backend) setVersion(version *docsgpt.Version) error {
	b.version = version
	fingerprint, err := b.fingerprint()
	if err != nil {
		return err
	}
	feeds, err := b.loadFeeds(b.ctx)
	if err != nil {
		return err
	}
	if len(feeds) == 0 && b.storeFeed == nil {
		b.logger.Warn("no feed is configured, so every request that needs a key is rejected; " +
			"add a feed to the docsgate options, such as: feed file keys.yaml")
	}
	if err := b.acquireState(b.ctx, fingerprint+b.addresses, feeds); err != nil {
		return err
	}
	if err := b.acquireQuotas(); err != nil {
		return err
	}
	if err := b.acquireIDs(); err != nil {
		return err
	}
	b.warnOfTools()
	return b.RegisterMetrics(stateCollector{b.state})
}

func (b *Backend) loadFeeds(ctx caddy.Context) ([]keys.Feed, error) {
	if b.FeedsRaw == nil {
		return nil, nil
	}
	modules, err := ctx.LoadModule(b, "FeedsRaw")
	if err != nil {
		return nil, err
	}
	deps := FeedDeps{
		Resolve:      placeholder.Secret,
		CheckSource:  b.version.CheckSource,
		CheckSources: b.sourcesCheck(),
	}
	var feeds []keys.Feed
	for _, module := range modules.([]any) {
		feedModule, ok := module.(FeedModule)
		if !ok {
			return nil, fmt.Errorf("module %T is not a feed", module)
		}
		if store, ok := module.(*StoreFeed); ok {
			if b.storeFeed != nil {
				return nil, errors.New("feed store is already specified; specify it once, since new keys are stored there")
			}
			if err := b.app.claimStore(store.location.name, b.name); err != nil {
				return nil, err
			}
			b.storeFeed = store
			if store.location.database != nil {
				b.addresses += store.location.poolKey() // of another password or secret, the state must be another one
			}
		}
		feed, err := feedModule.Feed(deps)
		if err != nil {
			return nil, err
		}
		if remote, ok := module.(*DocsGPTFeed); ok {
			b.addresses += remote.addressDigest
		}
		if feed != nil {
			feeds = append(feeds, feed)
		}
	}
	return feeds, nil
}

// sourcesCheck returns a function that checks whether a key may be bound to n sources. Without a credential DocsGPT would
// treat the gate as an anonymous user, or as its owner. The function outlives the configuration, so it must not refer to
// the backend.
func (b *Backend) sourcesCheck() func(n int) error {
	version, anonymous := b.version, b.token.IsZero()
	return func(n int) error {
		if version.Accounts && anonymous {
			return errors.New("a key that is bound to a source needs a credential for DocsGPT: " +
				"set upstream_token {env.DOCSGPT_TOKEN} in the docsgate options")
		}
		return version.CheckSources(n)
	}
}

// checkStart returns an error if the backend cannot start. Nothing is started yet.
func (b *Backend) checkStart() error {
	if b.state == nil {
		return ErrNoUpstream
	}
	if b.storeFeed != nil && b.storeFeed.locked != nil {
		return b.storeFeed.locked
	}
	for _, hook := range b.startHooks {
		if err := hook.check(); err != nil {
			return err
		}
	}
	return nil
}

// start starts to save IDs, makes the keys that the gate issues valid, runs the start hooks, and starts to save quotas.
func (b *Backend) start() error {
	if err := b.startIDs(); err != nil {
		return err
	}
	if b.state.registry != nil {
		b.state.registry.installRules(b.rules(b.state))
		if err := b.state.Syncer.Sync(b.ctx, b.state.registry.feed); err != nil {
			return err
		}
		for _, hook := range b.startHooks {
			if err := hook.open(); err != nil {
				return err
			}
		}
		b.storeFeed.retainRevoked(b.ctx)
	}
	if b.quotas != nil {
		b.quotas.start()
	}
	return nil
}

// cleanup releases the shared state.
func (b *Backend) cleanup() error {
	if b.state == nil {
		return nil
	}
	_, err := states.Delete(b.poolKey)
	if b.quotas != nil {
		err = errors.Join(err, b.quotas.release())
	}
	if b.idState != nil {
		err = errors.Join(err, b.idState.release())
	}
	return err
}
