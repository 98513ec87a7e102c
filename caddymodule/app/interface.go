package app

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/console"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/upstream"
)

// Forwarder is a handler of the gate with built-in upstream connections.
type Forwarder struct {
	Handler  caddyhttp.MiddlewareHandler
	Upstream *upstream.Upstream
	Groups   []docsgpt.Group // the endpoint groups that it serves
}

// AddForwarder adds a handler with an upstream. It must be called while the configuration is provisioned.
func (b *Backend) AddForwarder(f Forwarder) { b.forwarders = append(b.forwarders, f) }

// Forwarders returns the handlers with an upstream, in the order of the configuration.
func (b *Backend) Forwarders() []Forwarder { return b.forwarders }

// startHook runs when the configuration starts.
type startHook struct{ check, open func() error }

// OnStart adds functions to run when the configuration starts. check runs before anything is started, open when the keys are
// loaded; open does not run without the feed store. It must be called while the configuration is provisioned.
func (b *Backend) OnStart(check, open func() error) {
	b.startHooks = append(b.startHooks, startHook{check, open})
}

// App returns the app that the backend belongs to.
func (b *Backend) App() *App { return b.app }

// SetPublicURL sets the URL at which clients reach the gate.
func (b *Backend) SetPublicURL(url string) { b.publicURL = url }

// PublicURL returns the URL at which clients reach the gate, or "" if it is not configured.
func (b *Backend) PublicURL() string { return b.publicURL }

// Version returns the version of DocsGPT, or nil until it is resolved.
func (b *Backend) Version() *docsgpt.Version { return b.version }

// Credential returns the credential for requests of keys that are bound to sources. It is zero if there is none.
func (b *Backend) Credential() keys.Secret { return b.token }

// State returns the state that outlives a reload, or nil until the version is resolved.
func (b *Backend) State() *State { return b.state }

// Lifetime returns a context that ends when the configuration is unloaded.
func (a *App) Lifetime() context.Context { return &a.lifetime }

// BeforeResponse must be called before the response of a request is written.
func (a *App) BeforeResponse(w http.ResponseWriter) { a.lifetime.BeforeResponse(w) }

// HasStore reports whether the gate issues keys.
func (b *Backend) HasStore() bool { return b.storeFeed != nil }

// FeedNames returns the names of all feeds.
func (b *Backend) FeedNames() []string {
	var names []string
	for _, status := range b.state.Syncer.Status() {
		names = append(names, status.Name)
	}
	return names
}

// Registry returns the registry of the keys that the gate issues, or nil without the feed store.
func (s *State) Registry() *registry.Registry {
	if s.registry == nil {
		return nil
	}
	return s.registry.Registry
}

// RegistryFeed returns the name of the feed of the registry. It must not be called without the feed store.
func (s *State) RegistryFeed() string { return s.registry.feed }

// ConsoleState returns the sessions and throttles of the console, which outlive a reload. It must not be called without the
// feed store.
func (s *State) ConsoleState() *console.SharedState { return s.registry.memory }
