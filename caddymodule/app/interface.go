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
func (a *App) AddForwarder(f Forwarder) { a.forwarders = append(a.forwarders, f) }

// Forwarders returns the handlers with an upstream, in the order of the configuration.
func (a *App) Forwarders() []Forwarder { return a.forwarders }

// startHook runs when the configuration starts.
type startHook struct{ check, open func() error }

// OnStart adds functions to run when the configuration starts. check runs before anything is started, open when the keys are
// loaded; open does not run without the feed store. It must be called while the configuration is provisioned.
func (a *App) OnStart(check, open func() error) {
	a.startHooks = append(a.startHooks, startHook{check, open})
}

// SetPublicURL sets the URL at which clients reach the gate.
func (a *App) SetPublicURL(url string) { a.publicURL = url }

// PublicURL returns the URL at which clients reach the gate, or "" if it is not configured.
func (a *App) PublicURL() string { return a.publicURL }

// Version returns the version of DocsGPT, or nil until it is resolved.
func (a *App) Version() *docsgpt.Version { return a.version }

// Credential returns the credential for requests of keys that are bound to sources. It is zero if there is none.
func (a *App) Credential() keys.Secret { return a.token }

// State returns the state that outlives a reload, or nil until the version is resolved.
func (a *App) State() *State { return a.state }

// Lifetime returns a context that ends when the configuration is unloaded.
func (a *App) Lifetime() context.Context { return &a.lifetime }

// BeforeResponse must be called before the response of a request is written.
func (a *App) BeforeResponse(w http.ResponseWriter) { a.lifetime.BeforeResponse(w) }

// HasStore reports whether the gate issues keys.
func (a *App) HasStore() bool { return a.storeFeed != nil }

// FeedNames returns the names of all feeds.
func (a *App) FeedNames() []string {
	var names []string
	for _, status := range a.state.Syncer.Status() {
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
