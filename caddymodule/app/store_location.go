package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// StoreLocation is the place of a key store: a file of this gate, or a PostgreSQL database that several gates share. Create one with
// StoreFeed.Locate.
type StoreLocation struct {
	// local is the path of the file. With a database, it is the path of the gate's own files without their extensions.
	local string

	// database is nil for a file.
	database *pgstore.Options

	// secret contains the secrets that encrypt, one per line. Zero: they are in the file of secretPath.
	secret keys.Secret

	// name identifies the store in errors, without a password.
	name string

	// connection is how the connections to the database are protected.
	connection docsgptkeys.Connection

	// maxStale is how long the keys of the database remain valid while it is unavailable; 0: the default.
	maxStale time.Duration
}

// IsDatabaseURI reports whether text is the address of a database, and not the path of a file.
func IsDatabaseURI(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && (strings.EqualFold(scheme, "postgres") || strings.EqualFold(scheme, "postgresql"))
}

// checkStorePassword returns an error if text is a URI that contains a password.
func checkStorePassword(text string) error {
	if !IsDatabaseURI(text) {
		return nil
	}
	if u, err := url.Parse(text); err == nil {
		if _, has := u.User.Password(); has || u.Query().Has("password") || u.Query().Has("sslpassword") {
			return placeholder.ErrPlaintext
		}
	}
	return nil
}

// Locate returns the location of the store of a backend; empty: of the default one. It neither opens nor creates the store. The value of a single placeholder may be a URI, with a password.
func (f *StoreFeed) Locate(backend string) (StoreLocation, error) {
	if f.Path == "" {
		return f.file(DefaultStorePath(backend))
	}
	if err := checkStorePassword(f.Path); err != nil {
		return StoreLocation{}, err
	}
	text, err := caddy.NewReplacer().ReplaceOrErr(f.Path, true, true)
	if err != nil || text == "" {
		return StoreLocation{}, errors.Join(errors.New("the path must not be empty"), err)
	}
	if !IsDatabaseURI(text) {
		return f.file(text)
	}
	options := &pgstore.Options{URI: keys.NewSecret(text), Schema: f.Schema, InsecurePlaintext: f.InsecurePlaintext}
	name, connection, err := options.Describe()
	if err != nil {
		return StoreLocation{}, err
	}
	secret, err := f.secret()
	if err != nil {
		return StoreLocation{}, err
	}
	local, err := filepath.Abs(filepath.Join(dataDir(backend), "store"))
	return StoreLocation{
		local: local, database: options, secret: secret, name: name, connection: connection, maxStale: time.Duration(f.MaxStale),
	}, err
}

// file returns the location of a file.
func (f *StoreFeed) file(path string) (StoreLocation, error) {
	if f.Schema != "" || f.InsecurePlaintext || len(f.Secret) > 0 || f.MaxStale != 0 {
		return StoreLocation{}, errors.New("schema, secret, max_stale and insecure_plaintext need a PostgreSQL database, such as " +
			"postgres://docsgate@db/docsgate; the path is that of a file")
	}
	absolute, err := filepath.Abs(path)
	return StoreLocation{local: absolute, name: absolute}, err
}

// poolKey identifies the store in pools. It depends on the password, the secrets and max_stale, so that a reload with others opens the store
// again.
func (l StoreLocation) poolKey() string {
	if l.database == nil {
		return l.local
	}
	sum := sha256.Sum256([]byte(l.database.URI.Reveal() + "\x00" + l.secret.Reveal()))
	return l.local + " " + l.name + " " + l.maxStale.String() + " " + hex.EncodeToString(sum[:])
}

// Name identifies the store in messages: the absolute path of the file, or "store:" and hosts, database and schema.
func (l StoreLocation) Name() string { return l.name }

// File returns the absolute path of the file, or "" for a database.
func (l StoreLocation) File() string {
	if l.database != nil {
		return ""
	}
	return l.local
}

// Database returns the store in a database without connecting to it, so that its schema is not upgraded. The caller must call Close. For a
// file it returns an error.
func (l StoreLocation) Database() (*pgstore.Store, error) {
	if l.database == nil {
		return nil, fmt.Errorf("%s is a file, not a PostgreSQL database", l.name)
	}
	return pgstore.New(*l.database)
}

// Open opens the store, and creates the file or the schema if it does not exist. A file that another process has open is boltstore.ErrLocked.
func (l StoreLocation) Open(ctx context.Context) (registry.Storage, error) {
	if l.database != nil {
		return pgstore.Open(ctx, *l.database)
	}
	return boltstore.Open(ctx, boltstore.Options{Path: l.local})
}
