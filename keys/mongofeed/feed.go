// Package mongofeed is a feed of DocsGPT's own agent keys in MongoDB, for DocsGPT 0.8 to 0.16: those in the collection agents (0.14 and
// later) or in api_keys (before). It reads a few fields of all records, and detects changes within a second: with change streams on a
// replica set, otherwise by polling and comparing twice a second.
//
// It never writes. The role read on DocsGPT's database is sufficient.
package mongofeed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// Values of Options.Collection: the collections in which DocsGPT stores keys.
const (
	Agents  = "agents"   // 0.14 to 0.16
	APIKeys = "api_keys" // 0.8 to 0.13
	Both    = "both"
)

// Defaults of Options, and fixed limits.
const (
	defaultDatabase     = "docsgpt"
	defaultPollInterval = 500 * time.Millisecond
	defaultTimeout      = 5 * time.Second
	defaultMaxStale     = 24 * time.Hour

	// fullTimeouts is the timeout for reading all records, as a multiple of Options.Timeout.
	fullTimeouts = 12
)

// Options configures a Feed.
type Options struct {
	// URI is the address of DocsGPT's MongoDB, with user and password, like DocsGPT's own MONGO_URI. Required.
	URI keys.Secret

	// Database is the name of DocsGPT's database, like DocsGPT's own MONGO_DB_NAME. Default: the path of URI, unless it is admin,
	// the database of users; else docsgpt.
	Database string

	// Collection is Agents, APIKeys or Both. Default: Agents if it contains keys, else APIKeys, like in DocsGPT, which ignores
	// api_keys since 0.14.
	Collection string

	// InsecurePlaintext allows unencrypted connections to other machines. If it is not set, New rejects an address without TLS of
	// another machine, and the feed does not connect to members of a replica set on other machines without TLS.
	InsecurePlaintext bool

	// Filter selects the agents that become keys.
	Filter docsgptkeys.Filter

	// SnapshotPath is the encrypted file that caches the keys for outages of the database; empty: none. Two more files are stored
	// beside it, with the suffixes ".secret" and ".confirmed".
	SnapshotPath string

	// PollInterval is the interval at which a database without change streams is polled. Default: 500 ms.
	PollInterval time.Duration

	// MaxStale is how long the last keys remain valid while the database is unavailable. Default: 24 h.
	MaxStale time.Duration

	// Timeout is the timeout for connecting and for a query. The timeout for reading all records is twelve times as long. Default: 5 s.
	Timeout time.Duration

	// OnWarning is called with messages for operators besides errors, without secrets: about the snapshot, or change streams that
	// cannot be used. nil discards them.
	OnWarning func(text string)
}

// Feed is a feed of the agent keys in a DocsGPT's MongoDB database. It is safe for concurrent use. Create one with New.
type Feed struct {
	options Options
	address address
	seed    maphash.Seed // of fingerprints, so that collisions cannot be prepared
	cache   *docsgptkeys.AgentCache

	reading   chan struct{} // holds one value while the database is read; guards the following
	last      *lastSnapshot // nil: nothing was read
	passCount uint64        // so far

	watching      atomic.Bool // a watch has compared all records and is connected
	noStreamsOnce sync.Once   // reports that change streams cannot be used

	mu        sync.Mutex            // guards malformed
	malformed []docsgptkeys.Skipped // records that cannot be decoded
}

var (
	_ keys.DeltaFeed  = (*Feed)(nil)
	_ keys.RemoteFeed = (*Feed)(nil)
)

// New returns a feed. It does not access the database. The error does not contain the address.
func New(o Options) (*Feed, error) {
	switch {
	case o.PollInterval < 0 || o.MaxStale < 0 || o.Timeout < 0:
		return nil, errors.New("poll_interval, max_stale and timeout of a DocsGPT feed must not be negative")
	case !slices.Contains([]string{"", Agents, APIKeys, Both}, o.Collection):
		return nil, fmt.Errorf("the collection of a DocsGPT feed must be %s, %s or %s", Agents, APIKeys, Both)
	}
	o.PollInterval, o.MaxStale = cmp.Or(o.PollInterval, defaultPollInterval), cmp.Or(o.MaxStale, defaultMaxStale)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.OnWarning == nil {
		o.OnWarning = func(string) {}
	}
	address, err := parseAddress(o.URI.Reveal(), o.Database, o.InsecurePlaintext)
	if err != nil {
		return nil, err
	}
	o.URI = keys.Secret{} // no longer needed
	f := &Feed{options: o, address: address, seed: maphash.MakeSeed(), reading: make(chan struct{}, 1)}
	f.cache = docsgptkeys.NewAgentCache(docsgptkeys.AgentCacheOptions{
		Feed: address.name, Filter: o.Filter, SnapshotPath: o.SnapshotPath, OnWarning: o.OnWarning,
	})
	return f, nil
}

// Name returns "docsgpt:" with hosts, ports and name of the database, without user and password.
func (f *Feed) Name() string { return f.address.name }

// Connection returns how the connections to the database are protected. It does not change.
func (f *Feed) Connection() docsgptkeys.Connection { return f.address.connection }

// LastConfirmed implements keys.RemoteFeed.
func (f *Feed) LastConfirmed() time.Time { return f.cache.LastConfirmed() }

// MaxStale implements keys.RemoteFeed.
func (f *Feed) MaxStale() time.Duration { return f.options.MaxStale }

// Skipped returns the records that have a key and were skipped by the last read, sorted by ID.
func (f *Feed) Skipped() []docsgptkeys.Skipped {
	f.mu.Lock()
	skipped := slices.Concat(f.cache.Skipped(), f.malformed)
	f.mu.Unlock()
	slices.SortStableFunc(skipped, func(a, b docsgptkeys.Skipped) int { return cmp.Compare(a.ID, b.ID) })
	return skipped
}

// Load reads all records. If the database is unavailable, it returns the last keys, from memory or from the snapshot, with a
// *keys.StaleError. If an operator has to fix something, such as a wrong password, it returns no keys.
func (f *Feed) Load(ctx context.Context) ([]keys.Key, error) {
	if err := f.lock(ctx); err != nil {
		return nil, err
	}
	defer f.unlock()
	agents, at, err := f.readAll(ctx)
	if err == nil {
		set := f.cache.Load(agents, at)
		f.cache.Save(true)
		return set, nil
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return nil, ctxErr
	}
	err, unavailable := classifyError(err, f.options.Timeout)
	if unavailable {
		return f.cache.Cached(err)
	}
	return nil, err
}

// readAll reads all records with a new connection.
func (f *Feed) readAll(ctx context.Context) ([]docsgptkeys.Agent, time.Time, error) {
	ctx, l, err := f.connect(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer l.close()
	agents, at, err := f.readFull(ctx, l)
	if err != nil {
		err = l.cause(err)
	}
	return agents, at, err
}

// Changes implements keys.DeltaFeed. It returns what the watch has read since the last call. If there is no watch that has
// compared all records, ok is false.
func (f *Feed) Changes(ctx context.Context) (keys.Delta, bool, error) {
	if err := f.lock(ctx); err != nil {
		return keys.Delta{}, false, err
	}
	defer f.unlock()
	if !f.watching.Load() {
		return keys.Delta{}, false, nil
	}
	return f.cache.Changes(), true, nil
}

// lock waits until no other read is in progress, so that the last read is the newest.
func (f *Feed) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case f.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Feed) unlock() { <-f.reading }
