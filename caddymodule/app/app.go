package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/buildinfo"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/quota"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what all handlers of a configuration share: the feeds of keys, the upstream credential and the version of
// DocsGPT.
type App struct {
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

	// The maximum disk space of all uploads in flight, in bytes, for the whole process. A quarter is for uploads whose key
	// is not known yet, since it may follow the file in the form; one key gets at most a quarter. Default: 1 GiB, or four
	// times the largest max_upload_size.
	MaxUploadDisk int64 `json:"max_upload_disk,omitempty"`

	// The minimum rate of a request body, in bytes per second, on average over any 30 seconds, for the whole process.
	// Default: 1024.
	MinBodyRate int64 `json:"min_body_rate,omitempty"`

	// The grace period of requests in flight when the process exits. Afterwards streams end with an error event, and
	// other requests with status 503 and the code shutting_down. A reload does not end requests. Default: 20s.
	ShutdownGrace caddy.Duration `json:"shutdown_grace,omitempty"`

	// Whether other processes may listen on the addresses of this one, so that the next process serves new connections while
	// this one completes its requests. Default: false, the configuration is rejected if another process listens there.
	SharedPort bool `json:"shared_port,omitempty"`

	// The time zone in which the quotas of keys are reset at midnight, such as "Europe/Berlin". Default: "UTC".
	QuotaTimeZone string `json:"quota_time_zone,omitempty"`

	version *docsgpt.Version // nil until it is resolved
	versionDetection
	lifetime      lifecycle.ConfigLifetime
	token         keys.Secret
	poolKey       string
	state         *State
	storeFeed     *StoreFeed      // nil without the feed store
	addresses     string          // digests of the resolved addresses of feeds; part of the state's key
	quotas        *quotaSaver     // nil until the version is resolved, and while another process has the key store open
	quotaCalendar *quota.Calendar // of QuotaTimeZone
	idState       *idState        // nil until the version is resolved
	ids           atomic.Pointer[IDs]
	detachTokens  func()       // undoes attachTokens; nil: it was not called
	forwarders    []Forwarder  // handlers with an upstream
	maxBodySizes  maxBodySizes // largest of all handlers
	publicURL     string       // of the last console that has one
	startHooks    []startHook  // of other modules
	start         startSignal
	// addressConflict is set if another process listens on an address of a server.
	addressConflict error
	logger          *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "docsgate", New: func() caddy.Module { return new(App) }}
}

// Provision loads the feeds. A feed that cannot be loaded is an error. With the version "auto" and no address it is the
// first handler with an upstream that loads the feeds, when it is provisioned.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger, a.ctx = ctx.Logger(), ctx
	a.start.init()
	if a.ShutdownGrace == 0 {
		a.ShutdownGrace = caddy.Duration(lifecycle.DefaultShutdownGrace)
	}
	if err := a.checkAdminAddress(); err != nil {
		return err
	}
	if err := a.lifetime.Provision(ctx, time.Duration(a.ShutdownGrace)); err != nil {
		return err
	}
	if a.UpstreamToken != "" {
		secret, err := placeholder.Secret(a.UpstreamToken)
		if err != nil {
			return fmt.Errorf("upstream_token: %w", err)
		}
		a.token = keys.NewSecret(secret)
	}
	if err := a.provisionQuotaTimeZone(); err != nil {
		return err
	}
	if err := checkUpstreamTools(a.UpstreamTools); err != nil {
		return err
	}
	switch {
	case a.DocsGPTVersion != docsgpt.Auto && a.DocsGPTAddress != "":
		return errors.New("docsgpt_address needs docsgpt_version auto")
	case a.DocsGPTVersion == docsgpt.Auto && a.DocsGPTAddress != "":
		return a.resolveVersionAt()
	case a.DocsGPTVersion == docsgpt.Auto:
		return nil
	}
	version, err := docsgpt.FindVersion(a.DocsGPTVersion)
	if err != nil {
		return err
	}
	return a.setVersion(version)
}

// setVersion sets the version, then loads the feeds and the shared state, which depend on it.
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
		a.logger.Warn("no feed is configured, so every request that needs a key is rejected; " +
			"add a feed to the docsgate options, such as: feed file keys.yaml")
	}
	if err := a.acquireState(a.ctx, fingerprint+a.addresses, feeds); err != nil {
		return err
	}
	if err := a.acquireQuotas(); err != nil {
		return err
	}
	if err := a.acquireIDs(); err != nil {
		return err
	}
	a.warnOfTools()
	return RegisterMetrics(a.ctx.GetMetricsRegistry(), buildInfo, stateCollector{a.state}, quotaFailures)
}

func (a *App) loadFeeds(ctx caddy.Context) ([]keys.Feed, error) {
	if a.FeedsRaw == nil {
		return nil, nil
	}
	modules, err := ctx.LoadModule(a, "FeedsRaw")
	if err != nil {
		return nil, err
	}
	deps := FeedDeps{
		Resolve:      placeholder.Secret,
		CheckSource:  a.version.CheckSource,
		CheckSources: a.sourcesCheck(),
	}
	var feeds []keys.Feed
	for _, module := range modules.([]any) {
		feedModule, ok := module.(FeedModule)
		if !ok {
			return nil, fmt.Errorf("module %T is not a feed", module)
		}
		if store, ok := module.(*StoreFeed); ok {
			if a.storeFeed != nil {
				return nil, errors.New("feed store is already specified; specify it once, since new keys are stored there")
			}
			a.storeFeed = store
		}
		feed, err := feedModule.Feed(deps)
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

// sourcesCheck returns a function that checks whether a key may be bound to n sources. Without a credential DocsGPT would
// treat the gate as an anonymous user, or as its owner. The function outlives the configuration, so it must not refer to
// the app.
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

// Start starts to watch the feeds, and runs the start hooks of other modules.
func (a *App) Start() error {
	if err := a.checkServers(); err != nil {
		return err
	}
	if a.state == nil {
		return ErrNoUpstream
	}
	if err := a.checkBodies(); err != nil {
		return err
	}
	if a.storeFeed != nil && a.storeFeed.locked != nil {
		return a.storeFeed.locked
	}
	for _, hook := range a.startHooks {
		if err := hook.check(); err != nil {
			return err
		}
	}
	a.storeVersion()
	a.logger.Info("starting", zap.String("version", buildinfo.Version()))
	if err := a.lifetime.Start(a.ctx); err != nil {
		return err
	}
	if a.state.registry != nil {
		a.state.registry.installRules(a.rules(a.state))
		if err := a.state.Syncer.Sync(a.ctx, a.state.registry.feed); err != nil {
			return err
		}
		for _, hook := range a.startHooks {
			if err := hook.open(); err != nil {
				return err
			}
		}
	}
	if a.quotas != nil {
		a.quotas.start()
	}
	if err := a.startIDs(); err != nil {
		return err
	}
	a.warnOfLogs()
	a.state.start(a.logger)
	limitBodies(a)
	a.setRunning()
	a.attachTokens()
	a.start.send()
	return nil
}

// Stop removes the body limits of this configuration, and no longer reads tokens of answers. Other shared state is released by Cleanup.
func (a *App) Stop() error {
	unlimitBodies(a)
	if a.detachTokens != nil {
		a.detachTokens()
	}
	return nil
}

// Cleanup releases the shared state.
func (a *App) Cleanup() error {
	a.lifetime.Cleanup()
	if a.state == nil {
		return nil
	}
	_, err := states.Delete(a.poolKey)
	if a.quotas != nil {
		err = errors.Join(err, a.quotas.release())
	}
	if a.idState != nil {
		err = errors.Join(err, a.idState.release())
	}
	return err
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
