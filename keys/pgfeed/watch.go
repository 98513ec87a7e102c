package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

const (
	// pingEvery is the interval of pings on a connection with notifications, to detect a silently dropped connection.
	pingEvery = 5 * time.Second

	// recheckEvery is the interval at which all agents are read and compared, regardless of the checksums.
	recheckEvery = 10 * time.Minute
)

var _ dbfeed.Conn = (*conn)(nil)

// Subscribe implements dbfeed.Conn.
func (c *conn) Subscribe(ctx context.Context) (err error) {
	c.notified, err = c.feed.listen(ctx, c)
	return err
}

// ReadAll implements dbfeed.Conn.
func (c *conn) ReadAll(ctx context.Context) ([]docsgptkeys.Agent, time.Time, error) {
	return c.feed.readFull(ctx, c)
}

// ReadChanges implements dbfeed.Conn.
func (c *conn) ReadChanges(ctx context.Context, cache *docsgptkeys.AgentCache) (pending, ok bool, err error) {
	if c.feed.last.checksums == nil || time.Since(c.feed.last.full) >= recheckEvery {
		return false, false, nil
	}
	pending, err = c.feed.readChanged(ctx, c, cache)
	if errors.Is(err, errSchemaChanged) {
		return false, false, nil
	}
	return pending, true, err
}

// Wait implements dbfeed.Conn.
func (c *conn) Wait(ctx context.Context, _ *docsgptkeys.AgentCache, took time.Duration) (err error) {
	c.notified, err = c.feed.wait(ctx, c, took)
	return err
}

// Cause implements dbfeed.Conn.
func (c *conn) Cause(err error) error { return err }

// wait waits until the next poll. took is the duration of the last one. It returns whether notifications are still reliable, and an
// error if the connection is lost.
func (f *Feed) wait(ctx context.Context, c *conn, took time.Duration) (bool, error) {
	if !c.notified {
		deadline := time.Now().Add(max(f.options.PollInterval, dbfeed.BackoffFactor*took))
		for {
			// Waiting for notifications detects a lost connection immediately.
			if received, err := waitForNotification(ctx, c, time.Until(deadline)); err != nil || !received {
				return false, err
			}
		}
	}
	if err := dbfeed.Pause(ctx, dbfeed.MinInterval); err != nil { // notifications in the meantime are buffered in the connection
		return false, err
	}
	deadline := time.Now().Add(max(dbfeed.NotifiedPollInterval, f.options.PollInterval))
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return f.hasTrigger(ctx, c)
		}
		received, err := waitForNotification(ctx, c, min(left, pingEvery))
		switch {
		case err != nil:
			return false, err
		case received:
			drainNotifications(ctx, c)
			return true, nil
		}
		if err := f.ping(ctx, c); err != nil {
			return false, err
		}
	}
}

// waitForNotification waits for a notification, at most d, and reports whether one was received. It returns an error if the
// connection is lost or ctx is canceled.
func waitForNotification(ctx context.Context, c *conn, d time.Duration) (received bool, err error) {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err = c.pg.WaitForNotification(limited)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case !c.pg.IsClosed() && (pgconn.Timeout(err) || limited.Err() != nil):
		return false, nil
	default:
		return false, fmt.Errorf("waiting for notifications: %w", err)
	}
}

// drainNotifications discards the buffered notifications: one poll covers all of them.
func drainNotifications(ctx context.Context, c *conn) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for {
		if _, err := c.pg.WaitForNotification(ended); err != nil {
			return
		}
	}
}

// ping checks the connection.
func (f *Feed) ping(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	if err := c.pg.Ping(ctx); err != nil {
		return fmt.Errorf("pinging the database: %w", err)
	}
	return nil
}
