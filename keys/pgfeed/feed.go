// Package pgfeed adopts the keys that DocsGPT keeps in PostgreSQL, from 0.17 on, as a feed of keys. It reads the table
// agents in one consistent snapshot and then notices changes within a second: it asks the server for a mark of every group
// of rows, and reads the groups again whose mark has moved. Where the operator has installed the trigger of TriggerSQL the
// server says itself when to look.
//
// It only reads, and a role with the rights of GrantSQL is enough.
package pgfeed

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// The defaults of Options, and times that are none.
const (
	defaultPollInterval = 500 * time.Millisecond
	defaultTimeout      = 5 * time.Second
	defaultMaxStale     = 24 * time.Hour

	// fullTimeouts is how many timeouts reading all agents may take.
	fullTimeouts = 12
)

// Options configure a Feed.
type Options struct {
	// URI is the address of DocsGPT's database, with user and password: the same as DocsGPT's own POSTGRES_URI, in any form
	// that libpq knows. Required.
	URI keys.Secret

	// InsecurePlaintext allows connections with other machines that are not encrypted. Otherwise there are none: an address
	// whose sslmode is not given, or is one that may end in plaintext (allow, prefer), stands for verify-full there, and one
	// with sslmode=disable is an error of New.
	InsecurePlaintext bool

	// Filter says which agents are adopted.
	Filter docsgptkeys.Filter

	// SnapshotPath is the file that keeps the keys for the time that the database is away; empty: none. Two more files are
	// beside it, with ".secret" and ".confirmed" at the end of their names.
	SnapshotPath string

	// PollInterval is the time between two looks at the database. Default: 500 ms. Where the trigger is installed a look every 30 s,
	// or every Poll if that is longer, is enough.
	PollInterval time.Duration

	// MaxStale is how long the last keys count while the database is away. Default: 24 h.
	MaxStale time.Duration

	// Timeout is how long the database may take to be connected or to answer one question. Reading all agents may take
	// twelve times as long. Default: 5 s.
	Timeout time.Duration

	// OnWarning is called with what an operator should know besides errors, in a sentence without secrets: trouble with the
	// snapshot, a trigger that does not work. nil drops it.
	OnWarning func(text string)
}

// Feed is a DocsGPT's PostgreSQL as a feed of keys. It is safe for concurrent use. Make one with New.
type Feed struct {
	options Options
	address address
	seed    int64 // of marks: nobody can prepare rows whose marks are the same
	cache   *docsgptkeys.AgentCache

	reading      chan struct{} // holds one value while the database is read; guards the following
	last         lastSnapshot
	deniedWarned bool        // that a right is missing was noted
	watching     atomic.Bool // a watch has compared everything, and still has its connection
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
	case o.PollInterval == 0:
		o.PollInterval = defaultPollInterval
	}
	if o.MaxStale == 0 {
		o.MaxStale = defaultMaxStale
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.OnWarning == nil {
		o.OnWarning = func(string) {}
	}
	address, err := parseAddress(o.URI.Reveal(), o.Timeout, o.InsecurePlaintext)
	if err != nil {
		return nil, err
	}
	o.URI = keys.Secret{} // it is in address now
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails: the process ends instead
	f := &Feed{
		options: o, address: address, seed: int64(binary.BigEndian.Uint64(seed[:])), reading: make(chan struct{}, 1),
	}
	f.cache = docsgptkeys.NewAgentCache(docsgptkeys.AgentCacheOptions{
		Feed: address.name, Filter: o.Filter, SnapshotPath: o.SnapshotPath, OnWarning: o.OnWarning,
	})
	return f, nil
}

// Name returns "docsgpt:" with host, port and name of the database, without user and password.
func (f *Feed) Name() string { return f.address.name }

// Connection returns how the database is reached. It does not change.
func (f *Feed) Connection() docsgptkeys.Connection { return f.address.connection }

// LastConfirmed implements keys.RemoteFeed.
func (f *Feed) LastConfirmed() time.Time { return f.cache.LastConfirmed() }

// MaxStale implements keys.RemoteFeed.
func (f *Feed) MaxStale() time.Duration { return f.options.MaxStale }

// Skipped returns the agents that have a key and were not adopted at the last reading, sorted by ID.
func (f *Feed) Skipped() []docsgptkeys.Skipped { return f.cache.Skipped() }

// Load reads all agents. While the database is away it returns the last ones, from memory or from the snapshot, with a
// *keys.StaleError error. What an operator has to mend, such as a wrong password, is an error without keys.
func (f *Feed) Load(ctx context.Context) ([]keys.Key, error) {
	if err := f.lock(ctx); err != nil {
		return nil, err
	}
	defer f.unlock()
	all, at, err := f.readAll(ctx)
	if err == nil {
		set := f.cache.Load(all, at)
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

// readAll reads all agents over a connection of its own.
func (f *Feed) readAll(ctx context.Context) ([]docsgptkeys.Agent, time.Time, error) {
	l, err := f.connect(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer l.close()
	return f.readFull(ctx, l)
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
