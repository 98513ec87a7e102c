// Package pgfeed is a feed of DocsGPT's own agent keys in PostgreSQL, for DocsGPT 0.17 and later. It reads the table agents in one
// consistent snapshot and then detects changes within a second: it polls a checksum of every bucket of rows, and reads the changed
// buckets again. If the trigger of TriggerSQL is installed, the server sends notifications of changes.
//
// It never writes. A role with the permissions of GrantSQL is sufficient.
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

// Defaults of Options, and fixed limits.
const (
	defaultPollInterval = 500 * time.Millisecond
	defaultTimeout      = 5 * time.Second
	defaultMaxStale     = 24 * time.Hour

	// fullTimeouts is the timeout for reading all agents, as a multiple of Options.Timeout.
	fullTimeouts = 12
)

// Options configures a Feed.
type Options struct {
	// URI is the address of DocsGPT's database, with user and password, like DocsGPT's own POSTGRES_URI, in any form that libpq
	// supports. Required.
	URI keys.Secret

	// InsecurePlaintext allows unencrypted connections to other machines. If it is not set, an sslmode that is missing or may
	// result in plaintext (allow, prefer) means verify-full for other machines, and New rejects sslmode=disable.
	InsecurePlaintext bool

	// Filter selects the agents that become keys.
	Filter docsgptkeys.Filter

	// SnapshotPath is the encrypted file that caches the keys for outages of the database; empty: none. Two more files are stored
	// beside it, with the suffixes ".secret" and ".confirmed".
	SnapshotPath string

	// PollInterval is the interval at which the database is polled. Default: 500 ms. With the trigger it is 30 s, or PollInterval
	// if that is longer.
	PollInterval time.Duration

	// MaxStale is how long the last keys remain valid while the database is unavailable. Default: 24 h.
	MaxStale time.Duration

	// Timeout is the timeout for connecting to a host and for a query. The timeout for reading all agents is twelve times as long.
	// Default: 5 s.
	Timeout time.Duration

	// OnWarning is called with messages for operators besides errors, without secrets: about the snapshot, a trigger that does not
	// work, missing permissions. nil discards them.
	OnWarning func(text string)
}

// Feed is a feed of the agent keys in a DocsGPT's PostgreSQL database. It is safe for concurrent use. Create one with New.
type Feed struct {
	options Options
	address address
	seed    int64 // of checksums, so that collisions cannot be prepared
	cache   *docsgptkeys.AgentCache

	reading      chan struct{} // holds one value while the database is read; guards the following
	last         lastSnapshot
	deniedWarned bool        // missing permissions were reported
	watching     atomic.Bool // a watch has compared all agents and is connected
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
	o.URI = keys.Secret{} // no longer needed
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails: the process crashes instead
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

// Connection returns how the connections to the database are protected. It does not change.
func (f *Feed) Connection() docsgptkeys.Connection { return f.address.connection }

// LastConfirmed implements keys.RemoteFeed.
func (f *Feed) LastConfirmed() time.Time { return f.cache.LastConfirmed() }

// MaxStale implements keys.RemoteFeed.
func (f *Feed) MaxStale() time.Duration { return f.options.MaxStale }

// Skipped returns the agents that have a key and were skipped by the last read, sorted by ID.
func (f *Feed) Skipped() []docsgptkeys.Skipped { return f.cache.Skipped() }

// Load reads all agents. If the database is unavailable, it returns the last keys, from memory or from the snapshot, with a
// *keys.StaleError. If an operator has to fix something, such as a wrong password, it returns no keys.
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
	err, unavailable := classifyError(err, f.options.Timeout)
	if unavailable {
		return f.cache.Cached(err)
	}
	return nil, err
}

// readAll reads all agents with a new connection.
func (f *Feed) readAll(ctx context.Context) ([]docsgptkeys.Agent, time.Time, error) {
	l, err := f.connect(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer l.close()
	return f.readFull(ctx, l)
}

// Changes implements keys.DeltaFeed. It returns what the watch has read since the last call. If there is no watch that has
// compared all agents, ok is false.
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
