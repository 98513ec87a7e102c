// Package dbfeed contains what the feeds of DocsGPT's databases have in common: loading all agents, the watch that polls for changes,
// the cached keys while the database is unavailable, and the options. A database implements Conn.
package dbfeed

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// Conn is a connection to a database. Its methods are not called concurrently, and ReadAll and ReadChanges of all connections of a
// feed are not called concurrently.
type Conn interface {
	// Subscribe subscribes to notifications of changes, if the database has them. It is called before ReadAll, so that no change is
	// missed.
	Subscribe(ctx context.Context) error

	// ReadAll reads all agents. at is a time at which they were current.
	ReadAll(ctx context.Context) (agents []docsgptkeys.Agent, at time.Time, err error)

	// ReadChanges updates the cache with the changes since the last ReadAll or ReadChanges of any connection, and reports whether
	// the cache has pending changes. If ok is false, all agents must be read instead, and err is nil.
	ReadChanges(ctx context.Context, cache *docsgptkeys.AgentCache) (pending, ok bool, err error)

	// Wait waits until the next poll. took is the duration of the last one. If the connection is lost meanwhile, it returns an
	// error. If it learns that there are no changes, it confirms the cache.
	Wait(ctx context.Context, cache *docsgptkeys.AgentCache, took time.Duration) error

	// Cause returns the reason for an error of this connection, which may be the error itself. err is not nil.
	Cause(err error) error

	// Close closes the connection and waits until its goroutines have ended.
	Close()
}

// Config describes a database to New. All fields are required.
type Config struct {
	Options Options // with defaults

	// Name is the name of the feed, without secrets.
	Name string

	// Connection is how the connections are protected.
	Connection docsgptkeys.Connection

	// Connect connects to the database. The returned context is used for all operations on the connection; it may be canceled when
	// the connection is lost.
	Connect func(ctx context.Context) (context.Context, Conn, error)

	// ClassifyError returns an error for users, without values and passwords. unavailable reports whether the database is
	// unavailable, so that the last keys remain valid; otherwise an operator has to fix something.
	ClassifyError func(err error, timeout time.Duration) (userErr error, unavailable bool)
}

// Feed is a feed of the agent keys in a database. It is safe for concurrent use. Create one with New.
type Feed struct {
	config   Config
	cache    *docsgptkeys.AgentCache
	reading  chan struct{} // holds one value while the database is read
	watching atomic.Bool   // a watch has compared all agents and is connected
}

var (
	_ keys.DeltaFeed  = (*Feed)(nil)
	_ keys.RemoteFeed = (*Feed)(nil)
)

// New returns a feed. It does not access the database.
func New(c Config) *Feed {
	c.Options.URI = keys.Secret{} // not needed
	return &Feed{
		config: c, reading: make(chan struct{}, 1),
		cache: docsgptkeys.NewAgentCache(docsgptkeys.AgentCacheOptions{
			Feed: c.Name, Filter: c.Options.Filter, SnapshotPath: c.Options.SnapshotPath, OnWarning: c.Options.OnWarning,
		}),
	}
}

// Name returns "docsgpt:" with hosts, ports and name of the database, without user and password.
func (f *Feed) Name() string { return f.config.Name }

// Connection returns how the connections to the database are protected. It does not change.
func (f *Feed) Connection() docsgptkeys.Connection { return f.config.Connection }

// LastConfirmed implements keys.RemoteFeed.
func (f *Feed) LastConfirmed() time.Time { return f.cache.LastConfirmed() }

// MaxStale implements keys.RemoteFeed.
func (f *Feed) MaxStale() time.Duration { return f.config.Options.MaxStale }

// Skipped returns the agents that have a key and were skipped by the last read, sorted by ID.
func (f *Feed) Skipped() []docsgptkeys.Skipped { return f.cache.Skipped() }

// Load reads all agents. If the database is unavailable, it returns the last keys, from memory or from the snapshot, with a
// *keys.StaleError. If an operator has to fix something, such as a wrong password or an unknown ID in exclude_keys, it returns no keys.
func (f *Feed) Load(ctx context.Context) ([]keys.Key, error) {
	if err := f.lock(ctx); err != nil {
		return nil, err
	}
	defer f.unlock()
	agents, at, err := f.readAll(ctx)
	if err == nil {
		if err := f.cache.CheckExclusions(agents); err != nil {
			return nil, err
		}
		set := f.cache.Load(agents, at)
		f.cache.Save(true)
		return set, nil
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return nil, ctxErr
	}
	err, unavailable := f.config.ClassifyError(err, f.config.Options.Timeout)
	if unavailable {
		return f.cache.Cached(err)
	}
	return nil, err
}

// readAll reads all agents with a new connection.
func (f *Feed) readAll(ctx context.Context) ([]docsgptkeys.Agent, time.Time, error) {
	ctx, c, err := f.config.Connect(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer c.Close()
	agents, at, err := c.ReadAll(ctx)
	if err != nil {
		err = c.Cause(err)
	}
	return agents, at, err
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
