package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/mongofeed"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

func init() {
	caddy.RegisterModule(new(DocsGPTFeed))
}

// DocsGPTFeed loads the agent keys from DocsGPT's database, so that they work unchanged through the gate. It only reads.
// While the database is unavailable the last known keys remain valid, up to max_stale.
//
//	feed docsgpt <uri> {
//		owners <accounts...>
//		agent_ids <ids...>
//		only_published
//		include_shared
//		exclude_keys <ids...>
//		max_stale <duration>
//		poll_interval <duration>
//		snapshot <path>|off
//		insecure_plaintext
//		database <name>                  # MongoDB
//		collection agents|api_keys|both  # MongoDB
//	}
type DocsGPTFeed struct {
	// The URI of DocsGPT's database, as in its setting POSTGRES_URI or MONGO_URI: one placeholder, {env.NAME} or
	// {file.PATH}, or the URI itself if it contains no password. Required.
	URI string `json:"uri,omitempty"`

	// Load only agents of these accounts. Default: all.
	Owners []string `json:"owners,omitempty"`
	// Load only agents with these IDs. Default: all.
	AgentIDs []string `json:"agent_ids,omitempty"`
	// Load only published agents, although DocsGPT accepts the keys of others. Default: false.
	OnlyPublished bool `json:"only_published,omitempty"`
	// Also load the keys that DocsGPT creates for shared conversations (/api/share). Default: false.
	IncludeShared bool `json:"include_shared,omitempty"`

	// IDs of agents whose keys are rejected, because keys of the gate that are bound to these agents replace them. Default:
	// none.
	ExcludedKeys []string `json:"exclude_keys,omitempty"`

	// How long the last known keys remain valid while the database is unavailable. Default: 24h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`
	// The interval at which the database is polled. Default: 500ms, or 30s if the trigger is installed.
	PollInterval caddy.Duration `json:"poll_interval,omitempty"`

	// The path of the encrypted snapshot of the keys, for a start while the database is unavailable; "off" disables it.
	// Default: a file in the directory docsgate of Caddy's data directory, or in docsgate/<name> for a named backend.
	Snapshot string `json:"snapshot,omitempty"`

	// Allow unencrypted connections to a database on another machine: one whose host is not a loopback IP address,
	// "localhost" or a socket. Otherwise TLS is required there, and the certificate is verified unless the URI has
	// sslmode=require, or tlsInsecure=true for MongoDB. Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	// MongoDB only: the database, as in DocsGPT's setting MONGO_DB_NAME. Default: the one in the URI, or "docsgpt".
	Database string `json:"database,omitempty"`
	// MongoDB only: the collection with the keys, "agents" (0.14 to 0.16), "api_keys" (0.8 to 0.13) or "both". Default:
	// "agents" if it has keys, else "api_keys".
	Collection string `json:"collection,omitempty"`

	dir           string // for the snapshot
	addressDigest string // digest of the resolved URI, including the password; in memory only
	logger        *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*DocsGPTFeed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "docsgate.feeds.docsgpt", New: func() caddy.Module { return new(DocsGPTFeed) }}
}

// UnmarshalCaddyfile sets up the feed from "docsgpt <uri> { ... }".
func (f *DocsGPTFeed) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&f.URI) {
		return d.ArgErr()
	}
	if err := checkURI(f.URI); err != nil {
		return d.Err(err.Error())
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
		case "owners":
			err = caddyfileutil.List(d, &f.Owners)
		case "agent_ids":
			err = caddyfileutil.List(d, &f.AgentIDs)
		case "only_published":
			err = caddyfileutil.Flag(d, &f.OnlyPublished)
		case "include_shared":
			err = caddyfileutil.Flag(d, &f.IncludeShared)
		case "exclude_keys":
			err = caddyfileutil.List(d, &f.ExcludedKeys)
		case "max_stale":
			err = caddyfileutil.Duration(d, &f.MaxStale, "30s or 24h")
		case "poll_interval":
			err = caddyfileutil.Duration(d, &f.PollInterval, "30s or 24h")
		case "snapshot":
			err = caddyfileutil.Text(d, &f.Snapshot)
		case "insecure_plaintext":
			err = caddyfileutil.Flag(d, &f.InsecurePlaintext)
		case "database":
			err = caddyfileutil.Text(d, &f.Database)
		case "collection":
			if err = caddyfileutil.Text(d, &f.Collection); err == nil && !slices.Contains(mongoCollections, f.Collection) {
				err = d.Errf("collection must be one of %[2]s; got %[1]s", f.Collection, strings.Join(mongoCollections, ", "))
			}
		default:
			err = caddyfileutil.Unrecognized(d, "owners", "agent_ids", "only_published", "include_shared", "exclude_keys", "max_stale",
				"poll_interval", "snapshot", "insecure_plaintext", "database", "collection")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var mongoCollections = []string{mongofeed.Agents, mongofeed.APIKeys, mongofeed.Both}

// checkURI rejects a URI that contains a password. Its errors do not contain the URI.
func checkURI(text string) error {
	if _, ok := placeholder.Parse(text); ok {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return errors.New("feed docsgpt needs the URI of DocsGPT's database, such as {env.DOCSGPT_POSTGRES_URI}")
	}
	if _, has := u.User.Password(); has {
		return placeholder.ErrPlaintext
	}
	for option := range u.Query() { // includes sslpassword and tlsCertificateKeyFilePassword
		if strings.Contains(strings.ToLower(option), "password") {
			return placeholder.ErrPlaintext
		}
	}
	return nil
}

// Provision checks the URI.
func (f *DocsGPTFeed) Provision(ctx caddy.Context) error {
	f.logger, f.dir = loggerOf(ctx), dataDir(backendOf(ctx))
	if f.URI == "" {
		return errors.New("feed docsgpt: the URI of the database must not be empty")
	}
	return checkURI(f.URI)
}

// Feed implements FeedModule.
func (f *DocsGPTFeed) Feed(deps FeedDeps) (keys.Feed, error) {
	uri := f.URI
	if _, ok := placeholder.Parse(uri); ok {
		var err error
		if uri, err = deps.Resolve(uri); err != nil {
			return nil, fmt.Errorf("feed docsgpt: %w", err)
		}
	}
	sum := sha256.Sum256([]byte(uri))
	f.addressDigest = hex.EncodeToString(sum[:])
	feed, err := f.open(keys.NewSecret(uri))
	if err != nil {
		return nil, fmt.Errorf("feed docsgpt: %w", err)
	}
	if c, ok := feed.(connected); ok {
		warnOfConnection(f.logger, feed.Name(), "DocsGPT's database", "read all agent keys", c.Connection())
	}
	return feed, nil
}

// connected is a feed with a database connection.
type connected interface{ Connection() docsgptkeys.Connection }

// warnOfConnection logs if the connection to the database of a feed is not encrypted or its certificate is not verified. content is what
// an attacker could do.
func warnOfConnection(logger *zap.Logger, feed, database, content string, c docsgptkeys.Connection) {
	message := ""
	switch c.Transport {
	case docsgptkeys.Plaintext:
		message = "the connection to " + database + " is not encrypted, since insecure_plaintext is set: anyone on the network path can " + content
	case docsgptkeys.Unverified:
		message = "the certificate of " + database + " is not verified, because of its URI: anyone on the network path can " + content +
			"; set sslmode=verify-full in the URI, or remove tlsInsecure from it"
	default:
		return
	}
	logger.Warn(message, zap.String("feed", feed), zap.Strings("hosts", c.Hosts))
}

// open creates the feed for the kind of database in the URI.
func (f *DocsGPTFeed) open(uri keys.Secret) (keys.Feed, error) {
	options := dbfeed.Options{
		URI: uri, InsecurePlaintext: f.InsecurePlaintext, SnapshotPath: f.snapshotPath(uri), OnWarning: f.logNotice,
		Filter: docsgptkeys.Filter{
			Owners: f.Owners, IDs: f.AgentIDs, OnlyPublished: f.OnlyPublished, IncludeShared: f.IncludeShared, Excluded: f.ExcludedKeys,
		},
		PollInterval: time.Duration(f.PollInterval), MaxStale: time.Duration(f.MaxStale),
	}
	scheme, _, _ := strings.Cut(uri.Reveal(), ":")
	switch strings.ToLower(scheme) {
	case "mongodb", "mongodb+srv":
		return mongofeed.New(mongofeed.Options{Options: options, Database: f.Database, Collection: f.Collection})
	case "postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2":
		if f.Database != "" || f.Collection != "" {
			return nil, errors.New("database and collection need MongoDB; for PostgreSQL the database is in the URI")
		}
		return pgfeed.New(options)
	default:
		return nil, errors.New("the URI must begin with postgres:// or mongodb://")
	}
}

// snapshotPath returns the path of the snapshot, or "" if it is disabled.
func (f *DocsGPTFeed) snapshotPath(uri keys.Secret) string {
	switch f.Snapshot {
	case "off":
		return ""
	case "":
		name := "unknown"
		if u, err := url.Parse(uri.Reveal()); err == nil {
			location := u.Host + u.Path + f.Database // without user and password
			if q := u.Query(); q.Has("host") || q.Has("port") {
				location += "?" + url.Values{"host": q["host"], "port": q["port"]}.Encode()
			}
			sum := sha256.Sum256([]byte(location))
			name = hex.EncodeToString(sum[:6])
		}
		return filepath.Join(f.dir, "docsgpt-"+name+".snapshot")
	default:
		return caddy.NewReplacer().ReplaceKnown(f.Snapshot, "")
	}
}

func (f *DocsGPTFeed) logNotice(text string) { f.logger.Warn(text) }

var (
	_ FeedModule            = (*DocsGPTFeed)(nil)
	_ caddy.Provisioner     = (*DocsGPTFeed)(nil)
	_ caddyfile.Unmarshaler = (*DocsGPTFeed)(nil)
)
