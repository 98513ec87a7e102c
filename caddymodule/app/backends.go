package app

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// backendName matches the names of backends. They are parts of file names, also where these are not case-sensitive, and of URLs.
var backendName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// CheckBackendName returns an error if a name of a backend is not valid.
func CheckBackendName(name string) error {
	if !backendName.MatchString(name) {
		return fmt.Errorf("backend name %q: must have 1 to 63 lower-case letters, digits, hyphens and underscores, and begin with a "+
			"letter or digit", name)
	}
	return nil
}

// isConfigured reports whether any option is set.
func (b *Backend) isConfigured() bool {
	return len(b.FeedsRaw) > 0 || b.UpstreamToken != "" || b.UpstreamTools != "" || b.DocsGPTVersion != "" || b.DocsGPTAddress != "" ||
		b.TokenPrice != nil
}

// initBackends collects the backends. The default one is not among them if only named ones are configured.
func (a *App) initBackends(ctx caddy.Context) error {
	configured := len(a.Backends) == 0 || a.isConfigured()
	a.stores = map[string]string{}
	a.Backend.init(ctx, a, "")
	if configured {
		a.backends = append(a.backends, &a.Backend)
	}
	for _, name := range a.BackendNames() {
		if err := CheckBackendName(name); err != nil {
			return err
		}
		if a.Backends[name] == nil {
			return fmt.Errorf("backend %s: null is not allowed", name)
		}
		a.Backends[name].init(ctx, a, name)
		a.backends = append(a.backends, a.Backends[name])
	}
	return nil
}

func (b *Backend) init(ctx caddy.Context, a *App, name string) {
	b.app, b.name, b.counters = a, name, CountersOf(name)
	b.ctx = ctx.WithValue(backendCtxKey{}, name)
	b.logger, b.slogger = loggerOf(b.ctx), sloggerOf(b.ctx)
}

// backendCtxKey is the key of the name of the backend in the context of its feeds.
type backendCtxKey struct{}

// backendOf returns the name of the backend in a context; empty: the default one.
func backendOf(ctx caddy.Context) string {
	name, _ := ctx.Value(backendCtxKey{}).(string)
	return name
}

// loggerOf returns the logger of the module in a context, which names the backend unless it is the default one.
func loggerOf(ctx caddy.Context) *zap.Logger { return withBackend(ctx.Logger(), backendOf(ctx)) }

// sloggerOf is loggerOf for package slog.
func sloggerOf(ctx caddy.Context) *slog.Logger {
	if name := backendOf(ctx); name != "" {
		return ctx.Slogger().With("backend", name)
	}
	return ctx.Slogger()
}

// Logger returns a logger whose lines name the backend, unless it is the default one.
func (b *Backend) Logger(logger *zap.Logger) *zap.Logger { return withBackend(logger, b.name) }

func withBackend(logger *zap.Logger, name string) *zap.Logger {
	if name == "" {
		return logger
	}
	return logger.With(zap.String("backend", name))
}

// eachBackend calls do for each configured backend until one returns an error.
func (a *App) eachBackend(do func(*Backend) error) error {
	for _, b := range a.backends {
		if err := do(b); err != nil {
			return b.wrap(err)
		}
	}
	return nil
}

// wrap adds the name of the backend to an error.
func (b *Backend) wrap(err error) error {
	if err == nil || b.name == "" {
		return err
	}
	return fmt.Errorf("backend %s: %w", b.name, err)
}

// FindBackend returns the backend with a name, or the default one for "". It must be called while a handler is provisioned.
func (a *App) FindBackend(name string) (*Backend, error) {
	b := a.LookupBackend(name)
	if b == nil {
		return nil, unknownBackend(name, a.BackendNames())
	}
	b.used = true
	return b, nil
}

// LookupBackend returns the backend with a name, the default one for "", or nil if there is none.
func (a *App) LookupBackend(name string) *Backend {
	for _, b := range a.backends {
		if b.name == name {
			return b
		}
	}
	return nil
}

// BackendNames returns the names of the named backends, sorted.
func (a *App) BackendNames() []string { return slices.Sorted(maps.Keys(a.Backends)) }

// AllBackends returns the configured backends: the default one first, then the others by name.
func (a *App) AllBackends() []*Backend { return a.backends }

func unknownBackend(name string, known []string) error {
	switch {
	case name == "":
		return fmt.Errorf("backend is required, since there is no default one: must be one of %s", strings.Join(known, ", "))
	case len(known) == 0:
		return fmt.Errorf("unknown backend %q: define it with docsgate %s { ... } in the global options", name, name)
	}
	return fmt.Errorf("unknown backend %q: must be one of %s", name, strings.Join(known, ", "))
}

// warnIfUnused logs that no handler refers to the backend.
func (b *Backend) warnIfUnused() {
	if b.name != "" && !b.used {
		b.logger.Warn("no site uses this backend, so its keys are valid nowhere; specify backend " + b.name + " in a docsgate directive")
	}
}

// claimStore returns an error if another backend has the same key store.
func (a *App) claimStore(name, backend string) error {
	if other, taken := a.stores[name]; taken && other != backend {
		return fmt.Errorf("feed store: %s is already the key store of %s: use another one", name, describeBackend(other))
	}
	a.stores[name] = backend
	return nil
}

func describeBackend(name string) string {
	if name == "" {
		return "the default backend"
	}
	return "the backend " + name
}

// dataDir returns the directory of a backend's files.
func dataDir(backend string) string { return filepath.Join(caddy.AppDataDir(), "docsgate", backend) }

// Name returns the name of the backend; empty: the default one.
func (b *Backend) Name() string { return b.name }
