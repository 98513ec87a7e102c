package app

import (
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/internal/buildinfo"
	"github.com/docsgate/docsgate/keys/quota"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what all handlers of a configuration share: what belongs to each DocsGPT, and the options of the process.
type App struct {
	// The default backend.
	Backend

	// Further backends, each with its own feeds, credential and version, by the name that handlers specify as their backend.
	// Names have lower-case letters, digits, hyphens and underscores.
	Backends map[string]*Backend `json:"backends,omitempty"`

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

	// The Redis or Valkey through which several gates share their limits. Default: none, each gate limits the requests that it
	// receives.
	SharedLimits *SharedLimits `json:"shared_limits,omitempty"`

	// The checks that make the gate not ready if they fail, besides those of its keys: "upstream" while DocsGPT does not respond,
	// "queue" while the queue for answers is full. Default: none, the gate is then ready and degraded.
	ReadyRequires []string `json:"ready_requires,omitempty"`

	hasUnnamed    bool              // the block without a name is already parsed
	backends      []*Backend        // those that are configured: the default one first, then by name
	stores        map[string]string // names of backends by the paths of their key stores
	lifetime      lifecycle.ConfigLifetime
	quotaCalendar *quota.Calendar // of QuotaTimeZone
	maxBodySizes  maxBodySizes    // largest of all handlers
	start         startSignal
	sharing       sharing
	// addressConflict is set if another process listens on an address of a server.
	addressConflict error
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "docsgate", New: func() caddy.Module { return new(App) }}
}

// Provision loads the feeds. A feed that cannot be loaded is an error. With the version "auto" and no address it is the
// first handler with an upstream that loads the feeds of its backend, when it is provisioned.
func (a *App) Provision(ctx caddy.Context) error {
	a.start.init()
	if err := a.initBackends(ctx); err != nil {
		return err
	}
	if a.ShutdownGrace == 0 {
		a.ShutdownGrace = caddy.Duration(lifecycle.DefaultShutdownGrace)
	}
	if err := a.checkAdminAddress(); err != nil {
		return err
	}
	if err := checkReadyRequires(a.ReadyRequires); err != nil {
		return err
	}
	if err := a.lifetime.Provision(ctx, time.Duration(a.ShutdownGrace)); err != nil {
		return err
	}
	if err := a.provisionQuotaTimeZone(); err != nil {
		return err
	}
	if a.SharedLimits != nil {
		if err := a.SharedLimits.provision(ctx); err != nil {
			return err
		}
	}
	if err := RegisterMetrics(ctx.GetMetricsRegistry(), buildInfo, quotaFailures, lostWrites, historyFailures, droppedUsage, auditEntries, auditFailures); err != nil {
		return err
	}
	return a.eachBackend((*Backend).provision)
}

// Start starts to watch the feeds, and runs the start hooks of other modules.
func (a *App) Start() error {
	if err := a.checkServers(); err != nil {
		return err
	}
	if err := a.checkBodies(); err != nil {
		return err
	}
	if err := a.eachBackend((*Backend).checkStart); err != nil {
		return err
	}
	for _, b := range a.backends {
		b.warnIfUnused()
		b.storeVersion()
	}
	a.logger.Info("starting", zap.String("version", buildinfo.Version()))
	if err := a.lifetime.Start(a.ctx); err != nil {
		return err
	}
	if a.SharedLimits != nil {
		a.SharedLimits.start(a.ctx)
		a.sharing.start(a.SharedLimits.shared.Conn)
	}
	if err := a.eachBackend((*Backend).start); err != nil {
		return err
	}
	a.warnOfLogs()
	for _, b := range a.backends {
		b.state.start(b.logger)
	}
	limitBodies(a)
	a.setRunning()
	for _, b := range a.backends {
		b.attachTokens()
	}
	a.start.send()
	return nil
}

// Stop removes the body limits of this configuration, and no longer reads tokens of answers. Other shared state is released by Cleanup.
func (a *App) Stop() error {
	unlimitBodies(a)
	for _, b := range a.backends {
		if b.detachTokens != nil {
			b.detachTokens()
		}
	}
	return nil
}

// Cleanup releases the shared state.
func (a *App) Cleanup() error {
	a.lifetime.Cleanup()
	a.sharing.stop()
	err := a.SharedLimits.cleanup()
	for _, b := range a.backends {
		err = errors.Join(err, b.cleanup())
	}
	return err
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
