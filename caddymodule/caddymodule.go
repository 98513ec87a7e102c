package caddymodule

import (
	"time"

	"github.com/docsgate/docsgate/caddymodule/admin"
	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/caddymodule/gateway"
	"github.com/docsgate/docsgate/caddymodule/lifecycle"
)

type (
	// App is the module "docsgate", for programs that embed Caddy.
	App = app.App
	// Handler is the module "http.handlers.docsgate", for programs that embed Caddy.
	Handler = gateway.Handler
	// StoreFeed is the module "docsgate.feeds.store", for programs that embed Caddy and for the command line.
	StoreFeed = app.StoreFeed
	// SharedLimitsServer is the server of the option shared_limits, for the command doctor.
	SharedLimitsServer = app.SharedLimitsServer

	// StoreLocation is the place of a key store, for the command line.
	StoreLocation = app.StoreLocation
	// Console is the module "http.handlers.docsgate_console", for programs that embed Caddy.
	Console = admin.Console
)

// DefaultStorePath returns the default path of the key store of the default backend.
func DefaultStorePath() string { return app.DefaultStorePath("") }

// BackendStorePath returns the default path of the key store of a named backend, or an error if the name is not valid.
func BackendStorePath(name string) (string, error) {
	return app.DefaultStorePath(name), app.CheckBackendName(name)
}

// IsDatabaseURI reports whether a path of StoreFeed is the URI of a database.
func IsDatabaseURI(path string) bool { return app.IsDatabaseURI(path) }

// Shutdown ends all requests in flight after the grace period, as when a Caddy process exits. It returns when they have
// ended, at most some seconds after the grace period. It is for programs that embed Caddy. New requests are rejected until
// another configuration is loaded.
func Shutdown(grace time.Duration) { lifecycle.Shutdown(grace) }
