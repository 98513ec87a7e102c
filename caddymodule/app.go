package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what all gates of one configuration share: where keys come from, and what is known of the DocsGPT behind
// them. Its JSON stands at apps/docsgate.
type App struct {
	// Where keys come from, in order. Each is a module of the namespace docsgate.feeds. Without any feed there are no
	// keys, and every request is refused.
	FeedsRaw []json.RawMessage `json:"feeds,omitempty" caddy:"namespace=docsgate.feeds inline_key=feed"`

	// The credential that requests of keys with a source binding carry to DocsGPT: a personal access token
	// (DocsGPT 1.x) or a session token. One placeholder, {env.NAME} or {file.PATH}, read when the configuration is
	// loaded; never the credential itself, since configurations are stored and shown.
	UpstreamToken string `json:"upstream_token,omitempty"`

	// What to do about tools of the account that UpstreamToken belongs to, which the model may be offered. Default: an
	// response that reports a call of one ends with an error, and a warning is logged when the configuration is loaded.
	// "none": the same without the warning; DocsGPT offers that account none. "allow": clients may use them; what the
	// tools keep, such as a memory and scheduled tasks, is then shared by all keys that are bound to sources.
	UpstreamTools string `json:"upstream_tools,omitempty"`

	// The version of the DocsGPT behind the gate, such as "0.16" or "1.1". Default: the newest known. "auto": the
	// version that it turns out to be when the configuration is loaded, asked of it without any credential.
	DocsGPT string `json:"docsgpt_version,omitempty"`

	// With "auto", where the DocsGPT is that is asked. Default: the upstream of the first handler that names one.
	DocsGPTAddress string `json:"docsgpt_address,omitempty"`

	// How many bytes all uploads together may have in files, over all sites. A quarter is for uploads whose key is not
	// known yet, which may stand after the file, and a quarter is the most that one key gets. Default: 1 GiB, or four
	// times the largest max_upload_size. This and the following hold for the whole process.
	MaxUploadDisk int64 `json:"max_upload_disk,omitempty"`

	// How many bytes per second a request body must have, on average over any 30 seconds. Default: 1024.
	MinBodyRate int64 `json:"min_body_rate,omitempty"`

	// How long requests in flight go on when the process is to exit. Then streams end with an error event, and other
	// requests with 503, whose code is shutting_down. A reload ends nothing. Default: 20s.
	ShutdownGrace caddy.Duration `json:"shutdown_grace,omitempty"`

	version *docsgpt.Version // nil until it is settled
	detection
	ending    ending
	token     keys.Secret
	poolKey   string
	state     *sharedState
	storeFeed *StoreFeed // nil if no keys are issued here
	addresses string     // digests of what the placeholders of feeds stand for; another address is another state
	gates     []*Handler // those that forward by themselves
	largest   largest    // of all handlers
	consoles  []*Console
	adminAPI  atomic.Pointer[http.Handler] // for Caddy's admin endpoint; nil if no keys are issued here
	logger    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "docsgate", New: func() caddy.Module { return new(App) }}
}

// Provision reads the keys for the first time, or again after a reload. A bad feed refuses the configuration. With the
// version "auto" a handler may have to name the upstream first; then all of that happens while it is provisioned.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger, a.ctx = ctx.Logger(), ctx
	if a.ShutdownGrace == 0 {
		a.ShutdownGrace = caddy.Duration(DefaultShutdownGrace)
	}
	if err := a.ending.provision(ctx, time.Duration(a.ShutdownGrace)); err != nil {
		return err
	}
	if a.UpstreamToken != "" {
		secret, err := resolveSecret(a.UpstreamToken)
		if err != nil {
			return fmt.Errorf("upstream_token: %w", err)
		}
		a.token = keys.NewSecret(secret)
	}
	if err := checkUpstreamTools(a.UpstreamTools); err != nil {
		return err
	}
	switch {
	case a.DocsGPT != docsgpt.Auto && a.DocsGPTAddress != "":
		return errors.New("docsgpt_address is only for the version auto")
	case a.DocsGPT == docsgpt.Auto && a.DocsGPTAddress != "":
		return a.resolveVersionAt()
	case a.DocsGPT == docsgpt.Auto:
		return nil
	}
	version, err := docsgpt.FindVersion(a.DocsGPT)
	if err != nil {
		return err
	}
	return a.setVersion(version)
}

// setVersion sets up all that depends on the version.
func (a *App) setVersion(version *docsgpt.Version) error {
	a.version = version
	fingerprint, err := a.fingerprint()
	if err != nil {
		return err
	}
	feeds, err := a.loadFeeds(a.ctx)
	if err != nil {
		return err
	}
	if len(feeds) == 0 && a.storeFeed == nil {
		a.logger.Warn("no feed is configured, so there are no keys and every request is refused; " +
			"add a feed, such as: feed file keys.yaml")
	}
	if err := a.acquireState(a.ctx, fingerprint+a.addresses, feeds); err != nil {
		return err
	}
	a.warnOfTools()
	return a.registerMetrics(a.ctx.GetMetricsRegistry())
}

func (a *App) loadFeeds(ctx caddy.Context) ([]keys.Feed, error) {
	if a.FeedsRaw == nil {
		return nil, nil
	}
	modules, err := ctx.LoadModule(a, "FeedsRaw")
	if err != nil {
		return nil, err
	}
	facts := FeedDeps{
		Resolve:      resolveSecret,
		CheckSource:  a.version.CheckSource,
		CheckSources: a.sourcesCheck(),
	}
	var feeds []keys.Feed
	for _, module := range modules.([]any) {
		maker, ok := module.(FeedModule)
		if !ok {
			return nil, fmt.Errorf("module %T is no feed", module)
		}
		if store, ok := module.(*StoreFeed); ok {
			if a.storeFeed != nil {
				return nil, errors.New("feed store is already specified: the gate could not tell where new keys belong; specify it once")
			}
			a.storeFeed = store
		}
		feed, err := maker.Feed(facts)
		if err != nil {
			return nil, err
		}
		if remote, ok := module.(*DocsGPTFeed); ok {
			a.addresses += remote.addressDigest
		}
		if feed != nil {
			feeds = append(feeds, feed)
		}
	}
	return feeds, nil
}

// sourcesCheck returns what tells whether a key may be bound to n sources. Without a credential DocsGPT would take the gate
// for anybody, or for its owner. It outlives the configuration, so it holds nothing else of it.
func (a *App) sourcesCheck() func(n int) error {
	version, anonymous := a.version, a.token.IsZero()
	return func(n int) error {
		if version.Accounts && anonymous {
			return errors.New("a key that is bound to a source needs a credential for DocsGPT: " +
				"set upstream_token {env.DOCSGPT_TOKEN} in the docsgate options")
		}
		return version.CheckSources(n)
	}
}

// Start begins to watch the feeds. It refuses a console that would be open to the public.
func (a *App) Start() error {
	if a.state == nil {
		return errNoUpstream
	}
	if err := a.checkBodies(); err != nil {
		return err
	}
	if a.storeFeed != nil && a.storeFeed.locked != nil {
		return a.storeFeed.locked
	}
	if err := a.checkConsoles(); err != nil {
		return err
	}
	a.storeVersion()
	if err := a.ending.start(a.ctx); err != nil {
		return err
	}
	if a.state.issued != nil {
		a.state.issued.installRules(a.rules(a.state))
		if err := a.state.syncer.Sync(a.ctx, a.state.issued.feed); err != nil {
			return err
		}
		a.openAdmin()
		for _, c := range a.consoles {
			if err := c.open(); err != nil {
				return err
			}
		}
	}
	a.state.start(a.logger)
	limitBodies(a)
	return nil
}

// Stop ends the limits of this configuration. All else that is shared with the next one ends with its last user.
func (a *App) Stop() error {
	unlimitBodies(a)
	return nil
}

// Cleanup lets the shared state go.
func (a *App) Cleanup() error {
	a.ending.cleanup()
	if a.state == nil {
		return nil
	}
	_, err := states.Delete(a.poolKey)
	return err
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
