package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// notifiedPoll is the poll interval if the database sends notifications.
	notifiedPoll = 30 * time.Second

	// pingEvery is the interval of pings on a connection with notifications, to detect a silently dropped connection.
	pingEvery = 5 * time.Second

	// backoffFactor limits the load: the pause after a poll is at least four times as long as the poll.
	backoffFactor = 4

	// minInterval is the minimum interval between polls, regardless of the number of notifications.
	minInterval = 100 * time.Millisecond

	// recheckEvery is the interval at which all agents are read and compared, regardless of the checksums.
	recheckEvery = 10 * time.Minute
)

// Watch calls changed when it has compared all agents, and then when agents have changed. It returns nil when ctx is canceled, or an
// error when the database is unavailable. It must not be called concurrently.
func (f *Feed) Watch(ctx context.Context, changed func()) error {
	err := f.watch(ctx, changed)
	f.watching.Store(false)
	f.cache.Save(true)
	if ctx.Err() != nil {
		return nil
	}
	err, _ = classifyError(err, f.options.Timeout)
	return err
}

func (f *Feed) watch(ctx context.Context, changed func()) error {
	l, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	notified, err := f.listen(ctx, l) // before all agents are read, so that no change is missed
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		begun := time.Now()
		pending, err := f.poll(ctx, l, first)
		if err != nil {
			return err
		}
		if first {
			f.watching.Store(true)
		}
		if first || pending { // the first time even without changes, since a load may have failed
			changed()
		}
		f.cache.Save(false)
		if notified, err = f.wait(ctx, l, notified, time.Since(begun)); err != nil {
			return err
		}
	}
}

// poll reads the changed agents, or all if that is due, and reports whether there are pending changes.
func (f *Feed) poll(ctx context.Context, l *conn, all bool) (pending bool, err error) {
	if err := f.lock(ctx); err != nil {
		return false, err
	}
	defer f.unlock()
	if !all && f.last.checksums != nil && time.Since(f.last.full) < recheckEvery {
		pending, err := f.readChanged(ctx, l)
		if !errors.Is(err, errSchemaChanged) {
			return pending, err
		}
	}
	agents, at, err := f.readFull(ctx, l)
	if err != nil {
		return false, err
	}
	return f.cache.Diff(agents, at), nil
}

// wait waits until the next poll. took is the duration of the last one. It returns whether notifications are still reliable, and an
// error if the connection is lost.
func (f *Feed) wait(ctx context.Context, l *conn, notified bool, took time.Duration) (bool, error) {
	if !notified {
		deadline := time.Now().Add(max(f.options.PollInterval, backoffFactor*took))
		for {
			// Waiting for notifications detects a lost connection immediately.
			if received, err := waitForNotification(ctx, l, time.Until(deadline)); err != nil || !received {
				return false, err
			}
		}
	}
	rest := time.NewTimer(minInterval)
	defer rest.Stop()
	select {
	case <-rest.C: // notifications in the meantime are buffered in the connection
	case <-ctx.Done():
		return false, ctx.Err()
	}
	deadline := time.Now().Add(max(notifiedPoll, f.options.PollInterval))
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return f.hasTrigger(ctx, l)
		}
		received, err := waitForNotification(ctx, l, min(left, pingEvery))
		switch {
		case err != nil:
			return false, err
		case received:
			drainNotifications(ctx, l)
			return true, nil
		}
		if err := f.ping(ctx, l); err != nil {
			return false, err
		}
	}
}

// waitForNotification waits for a notification, at most d, and reports whether one was received. It returns an error if the
// connection is lost or ctx is canceled.
func waitForNotification(ctx context.Context, l *conn, d time.Duration) (received bool, err error) {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err = l.pg.WaitForNotification(limited)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case !l.pg.IsClosed() && (pgconn.Timeout(err) || limited.Err() != nil):
		return false, nil
	default:
		return false, fmt.Errorf("waiting for notifications: %w", err)
	}
}

// drainNotifications discards the buffered notifications: one poll covers all of them.
func drainNotifications(ctx context.Context, l *conn) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for {
		if _, err := l.pg.WaitForNotification(ended); err != nil {
			return
		}
	}
}

// ping checks the connection.
func (f *Feed) ping(ctx context.Context, l *conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	if err := l.pg.Ping(ctx); err != nil {
		return fmt.Errorf("pinging the database: %w", err)
	}
	return nil
}
