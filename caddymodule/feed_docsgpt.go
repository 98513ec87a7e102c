package caddymodule

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

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/mongofeed"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

func init() {
	caddy.RegisterModule(new(DocsGPTFeed))
}

// DocsGPTFeed adopts the keys that DocsGPT itself has made, from its database: they go on to work as they are, through
// the gate. It reads only. While the database is away the last known keys count.
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
	// The address of DocsGPT's database, as DocsGPT's own POSTGRES_URI or MONGO_URI: one placeholder, {env.NAME} or {file.PATH}, or
	// the address itself if there is no password in it. Required.
	URI string `json:"uri,omitempty"`

	// Only agents of these accounts.
	Owners []string `json:"owners,omitempty"`
	// Only agents with these ids.
	IDs []string `json:"agent_ids,omitempty"`
	// Only published agents. DocsGPT itself never looks at that.
	Published bool `json:"only_published,omitempty"`
	// Also the keys that DocsGPT's /api/share makes for anybody who asks.
	Shared bool `json:"include_shared,omitempty"`

	// Agents whose own keys are refused, by their ids: keys of the gate stand for them instead.
	ExcludedKeys []string `json:"exclude_keys,omitempty"`

	// How long the last known keys count while the database is away. Default: 24h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`
	// The time between two looks at the database. Default: 500ms, or 30s where the trigger is installed.
	Poll caddy.Duration `json:"poll_interval,omitempty"`

	// The file that keeps the keys for a start without the database, encrypted; "off": none. Default: a file below
	// docsgate in Caddy's data directory.
	Snapshot string `json:"snapshot,omitempty"`

	// AllowedFields connections that are not encrypted with a database on another machine: one whose host is not a loopback IP address,
	// "localhost" or a socket. Otherwise the database must have TLS there, with a certificate that is verified unless the
	// address says sslmode=require, or tlsInsecure=true with MongoDB. Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	// Only for MongoDB: the database, as DocsGPT's own MONGO_DB_NAME. Default: the one in the address, or "docsgpt".
	Database string `json:"database,omitempty"`
	// Only for MongoDB: the collection with the keys, "agents" (0.14 to 0.16), "api_keys" (0.8 to 0.13) or "both". Default:
	// agents if it has keys, else api_keys.
	Collection string `json:"collection,omitempty"`

	addressDigest string // of the whole address, password included; it is kept in memory only
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
			return alreadySpecified(d)
		}
		seen[name] = true
		var err error
		switch name {
		case "owners":
			err = unmarshalList(d, &f.Owners)
		case "agent_ids":
			err = unmarshalList(d, &f.IDs)
		case "only_published":
			err = unmarshalFlag(d, &f.Published)
		case "include_shared":
			err = unmarshalFlag(d, &f.Shared)
		case "exclude_keys":
			err = unmarshalList(d, &f.ExcludedKeys)
		case "max_stale":
			err = unmarshalDuration(d, &f.MaxStale)
		case "poll_interval":
			err = unmarshalDuration(d, &f.Poll)
		case "snapshot":
			err = unmarshalOnce(d, &f.Snapshot)
		case "insecure_plaintext":
			err = unmarshalFlag(d, &f.InsecurePlaintext)
		case "database":
			err = unmarshalOnce(d, &f.Database)
		case "collection":
			if err = unmarshalOnce(d, &f.Collection); err == nil && !slices.Contains(mongoCollections, f.Collection) {
				err = d.Errf("collection %s: known are %s", f.Collection, strings.Join(mongoCollections, ", "))
			}
		default:
			err = unrecognized(d, "owners", "agent_ids", "only_published", "include_shared", "exclude_keys", "max_stale",
				"poll_interval", "snapshot", "insecure_plaintext", "database", "collection")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var mongoCollections = []string{mongofeed.Agents, mongofeed.APIKeys, mongofeed.Both}

func unmarshalList(d *caddyfile.Dispenser, to *[]string) error {
	if *to = d.RemainingArgs(); len(*to) == 0 {
		return d.ArgErr()
	}
	return nil
}

func unmarshalFlag(d *caddyfile.Dispenser, to *bool) error {
	*to = true
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

func unmarshalDuration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	name, text := d.Val(), ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration <= 0 {
		return d.Errf("%s %s: write a time above zero, such as 30s or 24h", name, text)
	}
	*to = caddy.Duration(duration)
	return nil
}

// checkURI refuses an address that has a password in it, without repeating it.
func checkURI(text string) error {
	if _, ok := placeholderOf(text); ok {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return errors.New("the feed docsgpt needs the address of DocsGPT's database, such as {env.DOCSGPT_POSTGRES_URI}")
	}
	if _, has := u.User.Password(); has {
		return errClearSecret
	}
	for option := range u.Query() { // also those of certificates: sslpassword, tlsCertificateKeyFilePassword
		if strings.Contains(strings.ToLower(option), "password") {
			return errClearSecret
		}
	}
	return nil
}

// Provision keeps the log for what the feed notes.
func (f *DocsGPTFeed) Provision(ctx caddy.Context) error {
	f.logger = ctx.Logger()
	if f.URI == "" {
		return errors.New("feed docsgpt: the address of the database is missing")
	}
	return checkURI(f.URI)
}

// Feed implements FeedModule.
func (f *DocsGPTFeed) Feed(facts FeedDeps) (keys.Feed, error) {
	uri := f.URI
	if _, ok := placeholderOf(uri); ok {
		var err error
		if uri, err = facts.Resolve(uri); err != nil {
			return nil, fmt.Errorf("feed docsgpt: %w", err)
		}
	}
	sum := sha256.Sum256([]byte(uri))
	f.addressDigest = hex.EncodeToString(sum[:])
	feed, err := f.open(keys.NewSecret(uri))
	if err != nil {
		return nil, fmt.Errorf("feed docsgpt: %w", err)
	}
	f.warn(feed)
	return feed, nil
}

// connected is a feed that reaches its keys over a network.
type connected interface{ Connection() docsgptkeys.Connection }

// warn logs that others may read along on the way to the database.
func (f *DocsGPTFeed) warn(feed keys.Feed) {
	c, ok := feed.(connected)
	if !ok {
		return
	}
	message := ""
	switch way := c.Connection(); way.Transport {
	case docsgptkeys.Plaintext:
		message = "the connection with DocsGPT's database is not encrypted, as insecure_plaintext allows: whoever is between can read every agent key"
	case docsgptkeys.Unverified:
		message = "the certificate of DocsGPT's database is not verified, as its address says: whoever is between can read every agent key; " +
			"write sslmode=verify-full into the address, or take tlsInsecure out of it"
	default:
		return
	}
	f.logger.Warn(message, zap.String("feed", feed.Name()), zap.Strings("hosts", c.Connection().Hosts))
}

// open makes the feed of the kind of database that the address names.
func (f *DocsGPTFeed) open(uri keys.Secret) (keys.Feed, error) {
	filter := docsgptkeys.Filter{Owners: f.Owners, IDs: f.IDs, OnlyPublished: f.Published, IncludeShared: f.Shared, Excluded: f.ExcludedKeys}
	scheme, _, _ := strings.Cut(uri.Reveal(), ":")
	switch strings.ToLower(scheme) {
	case "mongodb", "mongodb+srv":
		return mongofeed.New(mongofeed.Options{
			URI: uri, Filter: filter, SnapshotPath: f.snapshotPath(uri), Database: f.Database, Collection: f.Collection,
			InsecurePlaintext: f.InsecurePlaintext,
			PollInterval:      time.Duration(f.Poll), MaxStale: time.Duration(f.MaxStale), OnWarning: f.logNotice,
		})
	case "postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2":
		if f.Database != "" || f.Collection != "" {
			return nil, errors.New("database and collection are only for MongoDB; with PostgreSQL the address names the database")
		}
		return pgfeed.New(pgfeed.Options{
			URI: uri, Filter: filter, SnapshotPath: f.snapshotPath(uri), InsecurePlaintext: f.InsecurePlaintext,
			PollInterval: time.Duration(f.Poll), MaxStale: time.Duration(f.MaxStale), OnWarning: f.logNotice,
		})
	default:
		return nil, errors.New("the address must begin with postgres:// or mongodb://")
	}
}

// snapshotPath is where the keys are kept for a start without the database.
func (f *DocsGPTFeed) snapshotPath(uri keys.Secret) string {
	switch f.Snapshot {
	case "off":
		return ""
	case "":
		name := "unknown"
		if u, err := url.Parse(uri.Reveal()); err == nil {
			where := u.Host + u.Path + f.Database // no user, no password
			if q := u.Query(); q.Has("host") || q.Has("port") {
				where += "?" + url.Values{"host": q["host"], "port": q["port"]}.Encode()
			}
			sum := sha256.Sum256([]byte(where))
			name = hex.EncodeToString(sum[:6])
		}
		return filepath.Join(caddy.AppDataDir(), "docsgate", "docsgpt-"+name+".snapshot")
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
