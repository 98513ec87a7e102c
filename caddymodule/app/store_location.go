package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// storeLocation is the place of a key store: a file of this gate, or a PostgreSQL database that several gates share.
type storeLocation struct {
	// local is the path of the file. With a database, it is the path of the gate's own files without their extensions.
	local string

	// database is nil for a file.
	database *pgstore.Options

	// name identifies the store in errors, without a password.
	name string

	// connection is how the connections to the database are protected.
	connection docsgptkeys.Connection
}

// isDatabaseURI reports whether text is the address of a database, and not the path of a file.
func isDatabaseURI(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && (strings.EqualFold(scheme, "postgres") || strings.EqualFold(scheme, "postgresql"))
}

// checkStorePassword returns an error if text is a URI that contains a password.
func checkStorePassword(text string) error {
	if !isDatabaseURI(text) {
		return nil
	}
	if u, err := url.Parse(text); err == nil {
		if _, has := u.User.Password(); has || u.Query().Has("password") || u.Query().Has("sslpassword") {
			return placeholder.ErrPlaintext
		}
	}
	return nil
}

// locate returns the location of the store. The value of a single placeholder may be a URI, with a password.
func (f *StoreFeed) locate(backend string) (storeLocation, error) {
	if f.Path == "" {
		return f.file(DefaultStorePath(backend))
	}
	if err := checkStorePassword(f.Path); err != nil {
		return storeLocation{}, err
	}
	text, err := caddy.NewReplacer().ReplaceOrErr(f.Path, true, true)
	if err != nil || text == "" {
		return storeLocation{}, errors.Join(errors.New("the path must not be empty"), err)
	}
	if !isDatabaseURI(text) {
		return f.file(text)
	}
	options := &pgstore.Options{URI: keys.NewSecret(text), Schema: f.Schema, InsecurePlaintext: f.InsecurePlaintext}
	name, connection, err := options.Describe()
	if err != nil {
		return storeLocation{}, err
	}
	local, err := filepath.Abs(filepath.Join(dataDir(backend), "store"))
	return storeLocation{local: local, database: options, name: name, connection: connection}, err
}

// file returns the location of a file.
func (f *StoreFeed) file(path string) (storeLocation, error) {
	if f.Schema != "" || f.InsecurePlaintext {
		return storeLocation{}, errors.New("schema and insecure_plaintext need a PostgreSQL database, such as postgres://docsgate@db/docsgate; " +
			"the path is that of a file")
	}
	absolute, err := filepath.Abs(path)
	return storeLocation{local: absolute, name: absolute}, err
}

// poolKey identifies the store in pools. It depends on the password, so that a reload with another one connects again.
func (l storeLocation) poolKey() string {
	if l.database == nil {
		return l.local
	}
	sum := sha256.Sum256([]byte(l.database.URI.Reveal()))
	return l.local + " " + l.name + " " + hex.EncodeToString(sum[:])
}

// open opens the store. A file that another process has open is boltstore.ErrLocked.
func (l storeLocation) open(ctx context.Context) (registry.Storage, error) {
	if l.database != nil {
		return pgstore.Open(ctx, *l.database)
	}
	return boltstore.Open(ctx, boltstore.Options{Path: l.local})
}

// secretPath returns the path of the secret that encrypts pasted DocsGPT keys.
func (l storeLocation) secretPath() string { return l.local + ".secret" }
