package mongofeed

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

var _ dbfeed.Conn = (*conn)(nil)

// Subscribe implements dbfeed.Conn.
func (c *conn) Subscribe(ctx context.Context) (err error) {
	c.streams, err = c.feed.openStreams(ctx, c)
	return err
}

// ReadAll implements dbfeed.Conn.
func (c *conn) ReadAll(ctx context.Context) ([]docsgptkeys.Agent, time.Time, error) {
	return c.feed.readFull(ctx, c)
}

// ReadChanges implements dbfeed.Conn.
func (c *conn) ReadChanges(ctx context.Context, cache *docsgptkeys.AgentCache) (pending, ok bool, err error) {
	if c.feed.last == nil {
		return false, false, nil
	}
	pending, err = c.feed.readChanged(ctx, c, cache)
	return pending, true, err
}

// Wait implements dbfeed.Conn.
func (c *conn) Wait(ctx context.Context, cache *docsgptkeys.AgentCache, took time.Duration) (err error) {
	c.streams, err = c.feed.wait(ctx, c, cache, took)
	return err
}

// wait waits until the next poll. took is the duration of the last one. It returns the streams to use next, and an error if the
// connection is lost.
func (f *Feed) wait(ctx context.Context, c *conn, cache *docsgptkeys.AgentCache, took time.Duration) (streams, error) {
	s := c.streams
	if len(s) == 0 {
		return nil, dbfeed.Pause(ctx, max(f.options.PollInterval, dbfeed.BackoffFactor*took))
	}
	// Changes in the meantime stay in the streams.
	if err := dbfeed.Pause(ctx, max(dbfeed.MinInterval, dbfeed.BackoffFactor*took)); err != nil {
		return s, err
	}
	for deadline := time.Now().Add(max(dbfeed.NotifiedPollInterval, f.options.PollInterval)); time.Now().Before(deadline); {
		begun := time.Now()
		status, err := f.pollStreams(ctx, s)
		switch {
		case err != nil:
			return s, err
		case status == statusClosed:
			// The collection was dropped or renamed.
			s.close()
			return f.openStreams(ctx, c)
		case status == statusChange:
			return s, nil
		case status == statusIdle:
			cache.Confirm(begun)
			cache.Save(false)
		}
		// The server may return immediately, and with many conversations there are always irrelevant changes.
		if err := dbfeed.Pause(ctx, dbfeed.MinInterval-time.Since(begun)); err != nil {
			return s, err
		}
	}
	return s, nil
}
