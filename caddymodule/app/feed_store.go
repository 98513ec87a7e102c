package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
)

func init() {
	caddy.RegisterModule(new(StoreFeed))
}

// StoreFeed provides the keys that the gate issues through the console, the API and the command line. They are stored in one
// file, which only one process can open, or in a PostgreSQL database, which several gates share.
//
//	feed store [<path>] {
//		delete_revoked_after <duration>|off
//	}
//	feed store <uri> {
//		delete_revoked_after <duration>|off
//		schema <name>
//		secret <placeholder>...
//		max_stale <duration>
//		insecure_plaintext
//	}
type StoreFeed struct {
	// The path of the file, which is created if it does not exist, or the URI of a PostgreSQL database, which begins with
	// postgres://. The URI must not contain a password, unless the value is a placeholder such as {env.NAME}. Placeholders
	// are replaced when the configuration is loaded. Default: docsgate/keys.db in Caddy's data directory, or
	// docsgate/<name>/keys.db for a named backend.
	Path string `json:"path,omitempty"`

	// PostgreSQL only: the schema with the tables, which is created if it does not exist. Default: docsgate.
	Schema string `json:"schema,omitempty"`

	// PostgreSQL only: the secrets with which pasted DocsGPT keys and other secrets in the database are encrypted, as
	// placeholders {env.NAME} or {file.PATH}. Each value is 32 bytes in base64, or has the format of the file store.secret,
	// with one secret per line. All of them decrypt; "docsgate keys rotate-secret" makes the first one encrypt. All gates need
	// the same secrets. Default: those in docsgate/store.secret in Caddy's data directory, which the first gate creates.
	Secret []string `json:"secret,omitempty"`

	// PostgreSQL only: how long the last known keys remain valid while the database is unavailable. Default: 24h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`

	// PostgreSQL only: allow unencrypted connections to a database on another machine: one whose host is not a loopback IP
	// address, "localhost" or a socket. Otherwise TLS is required there, and the certificate is verified unless the URI has
	// sslmode=require. Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	// How long revoked keys remain until they are deleted automatically, at least a day; negative: they remain. Default: 365d.
	DeleteRevokedAfter caddy.Duration `json:"delete_revoked_after,omitempty"`

	location StoreLocation
	registry *registryRef
	locked   error // set if another process has the file open
}

// DefaultStorePath returns the default of StoreFeed.Path. backend is the name of a backend; empty: the default one.
func DefaultStorePath(backend string) string { return filepath.Join(dataDir(backend), "keys.db") }

// CaddyModule returns the Caddy module information.
func (*StoreFeed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "docsgate.feeds.store", New: func() caddy.Module { return new(StoreFeed) }}
}

// UnmarshalCaddyfile sets up the feed from "store [<path>|<uri>] { ... }".
func (f *StoreFeed) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		f.Path = d.Val()
		if err := checkStorePassword(f.Path); err != nil {
			return d.Err(err.Error())
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] {
			return caddyfileutil.AlreadySpecified(d)
		}
		seen[name] = true
		var err error
		switch name {
		case "schema":
			err = caddyfileutil.Text(d, &f.Schema)
		case "secret":
			err = secretArgs(d, &f.Secret)
		case "max_stale":
			err = caddyfileutil.Duration(d, &f.MaxStale, "30s or 24h")
		case "insecure_plaintext":
			err = caddyfileutil.Flag(d, &f.InsecurePlaintext)
		case "delete_revoked_after":
			err = retentionArg(d, &f.DeleteRevokedAfter)
		default:
			err = caddyfileutil.Unrecognized(d, "schema", "secret", "max_stale", "insecure_plaintext", "delete_revoked_after")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// secretArgs reads one or more placeholders.
func secretArgs(d *caddyfile.Dispenser, to *[]string) error {
	if err := caddyfileutil.List(d, to); err != nil {
		return err
	}
	for _, text := range *to {
		if _, ok := placeholder.Parse(text); !ok {
			return d.Err(placeholder.ErrPlaintext.Error())
		}
	}
	return nil
}

// secret returns the values of Secret, one after another. The error does not contain them.
func (f *StoreFeed) secret() (keys.Secret, error) {
	var values strings.Builder
	for _, text := range f.Secret {
		name, ok := placeholder.Parse(text)
		if !ok {
			return keys.Secret{}, fmt.Errorf("secret: %w", placeholder.ErrPlaintext)
		}
		value, known := caddy.NewReplacer().GetString(name)
		if !known || strings.TrimSpace(value) == "" {
			return keys.Secret{}, fmt.Errorf("secret: %s is empty: the variable is not set, or the file is empty or cannot be read", text)
		}
		values.WriteString(value + "\n")
	}
	return keys.NewSecret(values.String()), nil
}

// Provision opens the store, or shares it with a previous configuration.
func (f *StoreFeed) Provision(ctx caddy.Context) error {
	err := checkRetention(f.DeleteRevokedAfter)
	if err != nil {
		return fmt.Errorf("feed store: %w", err)
	}
	if f.location, err = f.Locate(backendOf(ctx)); err != nil {
		return fmt.Errorf("feed store: %w", err)
	}
	ref, err := acquireRegistry(ctx, f.location, sloggerOf(ctx))
	switch {
	case errors.Is(err, boltstore.ErrLocked):
		// Not an error yet: `validate` must work while a gate runs with the same configuration. App.Start returns it.
		f.locked = fmt.Errorf("feed store: %w", err)
	case err != nil:
		return fmt.Errorf("feed store: %w", err)
	}
	f.registry = ref
	warnOfConnection(loggerOf(ctx), f.location.name, "the key store's database", "read its password and change all keys", f.location.connection)
	return nil
}

// Feed implements FeedModule. It returns nil if another process has the file open.
func (f *StoreFeed) Feed(FeedDeps) (keys.Feed, error) {
	if f.registry == nil {
		return nil, nil //nolint:nilnil // App.Start returns the error
	}
	return f.registry.Feed(), nil
}

// Cleanup releases the store.
func (f *StoreFeed) Cleanup() error {
	if f.registry == nil {
		return nil
	}
	return f.registry.release()
}

var (
	_ FeedModule            = (*StoreFeed)(nil)
	_ caddy.Provisioner     = (*StoreFeed)(nil)
	_ caddy.CleanerUpper    = (*StoreFeed)(nil)
	_ caddyfile.Unmarshaler = (*StoreFeed)(nil)
)
