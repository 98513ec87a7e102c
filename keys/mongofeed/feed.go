// Package mongofeed adopts the keys that DocsGPT keeps in MongoDB, from 0.8 to 0.16, as a feed of keys: those in the
// collection agents (0.14 and newer) or in api_keys (before). It reads few fields of all records, and notices changes within
// a second: on a replica set a change stream says when to look again; elsewhere it looks twice a second, and compares.
//
// It only reads, and the role read on DocsGPT's database is enough.
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

// The collections that DocsGPT keeps keys in, as values of Options.Collection.
const (
	Agents  = "agents"   // 0.14 to 0.16
	APIKeys = "api_keys" // 0.8 to 0.13
	Both    = "both"
)

// The defaults of Options, and times that are none.
const (
	defaultDatabase     = "docsgpt"
	defaultPollInterval = 500 * time.Millisecond
	defaultTimeout      = 5 * time.Second
	defaultMaxStale     = 24 * time.Hour

	// fullTimeouts is how many timeouts reading all records may take.
	fullTimeouts = 12
)

// Options configure a Feed.
type Options struct {
	// URI is the address of DocsGPT's MongoDB, with user and password: the same as DocsGPT's own MONGO_URI. Required.
	URI keys.Secret

	// Database is the name of DocsGPT's database, its own MONGO_DB_NAME. Default: the one that the path of URI names, but not
	// admin, which is where users are kept; else docsgpt.
	Database string

	// Collection is Agents, APIKeys or Both. Default: Agents if there are keys in it, else APIKeys, as DocsGPT itself does:
	// from 0.14 on it does not look at the older ones.
	Collection string

	// InsecurePlaintext allows connections with other machines that are not encrypted. Otherwise an address without tls=true is
	// an error of New if it names one, and servers that a replica set on this machine names elsewhere are not connected.
	InsecurePlaintext bool

	// Filter says which agents are adopted.
	Filter docsgptkeys.Filter

	// SnapshotPath is the file that keeps the keys for the time that the database is away; empty: none. Two more files are
	// beside it, with ".secret" and ".confirmed" at the end of their names.
	SnapshotPath string

	// PollInterval is the time between two looks at a database that has no change streams. Default: 500 ms.
	PollInterval time.Duration

	// MaxStale is how long the last keys count while the database is away. Default: 24 h.
	MaxStale time.Duration

	// Timeout is how long the database may take to be connected or to answer one question. Reading all records may take
	// twelve times as long. Default: 5 s.
	Timeout time.Duration

	// OnWarning is called with what an operator should know besides errors, in a sentence without secrets: trouble with the
	// snapshot, change streams that cannot be used. nil drops it.
	OnWarning func(text string)
}

// Feed is a DocsGPT's MongoDB as a feed of keys. It is safe for concurrent use. Make one with New.
type Feed struct {
	options Options
	address address
	seed    maphash.Seed // of marks: nobody can prepare records whose marks are the same
	cache   *docsgptkeys.AgentCache

	reading   chan struct{} // holds one value while the database is read; guards the following
	last      *lastSnapshot // nil: nothing was read yet
	passCount uint64        // so far

	watching      atomic.Bool // a watch has compared everything, and still has its connection
	noStreamsOnce sync.Once   // change streams that cannot be used were noted

	mu        sync.Mutex            // guards odd
	malformed []docsgptkeys.Skipped // records that are not even agents
}

var (
	_ keys.DeltaFeed  = (*Feed)(nil)
	_ keys.RemoteFeed = (*Feed)(nil)
)

// New returns a feed. The database is not touched yet. The error does not show the address.
func New(o Options) (*Feed, error) {
	switch {
	case o.PollInterval < 0 || o.MaxStale < 0 || o.Timeout < 0:
		return nil, errors.New("poll, patience and timeout of a DocsGPT feed cannot be negative")
	case !slices.Contains([]string{"", Agents, APIKeys, Both}, o.Collection):
		return nil, fmt.Errorf("the collection of a DocsGPT feed is %s, %s or %s", Agents, APIKeys, Both)
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
	o.URI = keys.Secret{} // it is in address now
	f := &Feed{options: o, address: address, seed: maphash.MakeSeed(), reading: make(chan struct{}, 1)}
	f.cache = docsgptkeys.NewAgentCache(docsgptkeys.AgentCacheOptions{
		Feed: address.name, Filter: o.Filter, SnapshotPath: o.SnapshotPath, OnWarning: o.OnWarning,
	})
	return f, nil
}

// Name returns "docsgpt:" with hosts, ports and name of the database, without user and password.
func (f *Feed) Name() string { return f.address.name }

// Connection returns how the database is reached. It does not change.
func (f *Feed) Connection() docsgptkeys.Connection { return f.address.connection }

// LastConfirmed implements keys.RemoteFeed.
func (f *Feed) LastConfirmed() time.Time { return f.cache.LastConfirmed() }

// MaxStale implements keys.RemoteFeed.
func (f *Feed) MaxStale() time.Duration { return f.options.MaxStale }

// Skipped returns the records that have a key and were not adopted at the last reading, sorted by ID.
func (f *Feed) Skipped() []docsgptkeys.Skipped {
	f.mu.Lock()
	left := slices.Concat(f.cache.Skipped(), f.malformed)
	f.mu.Unlock()
	slices.SortStableFunc(left, func(a, b docsgptkeys.Skipped) int { return cmp.Compare(a.ID, b.ID) })
	return left
}

// Load reads all records. While the database is away it returns the last keys, from memory or from the snapshot, with a
// *keys.StaleError error. What an operator has to mend, such as a wrong password, is an error without keys.
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
	err, away := classifyError(err, f.options.Timeout)
	if away {
		return f.cache.Cached(err)
	}
	return nil, err
}

// readAll reads all records over a connection of its own.
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

// Changes implements keys.DeltaFeed: what the watch has read since the last call. Without a watch that has compared
// everything it cannot tell.
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

// lock waits until nobody else reads the database, so that what is read last is the newest.
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
