package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// notifiedPoll is the time between two looks at a database that says itself when there is something new.
	notifiedPoll = 30 * time.Second

	// pingEvery is how often such a connection is tried: one that was cut without a word looks like one on which nothing
	// happens.
	pingEvery = 5 * time.Second

	// backoffFactor bounds the load: a look that takes long is followed by a pause of four times that.
	backoffFactor = 4

	// minInterval is the shortest time between two looks, however often the database asks for one.
	minInterval = 100 * time.Millisecond

	// recheckEvery is how often all agents are read and compared, whatever the marks say.
	recheckEvery = 10 * time.Minute
)

// Watch calls changed once it has compared all agents, and then whenever some have changed, until ctx ends; then it returns
// nil. It returns an error when the database is lost. One call is to run at a time.
func (f *Feed) Watch(ctx context.Context, changed func()) error {
	err := f.watch(ctx, changed)
	f.watching.Store(false)
	f.cache.Save(true)
	if ctx.Err() != nil {
		return nil
	}
	told, _ := classifyError(err, f.options.Timeout)
	return told
}

func (f *Feed) watch(ctx context.Context, changed func()) error {
	l, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	notified, err := f.listen(ctx, l) // before all is read, so that nothing is missed in between
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
		if first || pending { // also once for a load that failed
			changed()
		}
		f.cache.Save(false)
		if notified, err = f.wait(ctx, l, notified, time.Since(begun)); err != nil {
			return err
		}
	}
}

// poll reads what has changed, or all if that is due, and tells whether there is something to give out.
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

// wait returns when the next look is due; took is how long the last one has taken. An error says that the connection is
// lost. It returns whether notifications can still be trusted.
func (f *Feed) wait(ctx context.Context, l *conn, notified bool, took time.Duration) (bool, error) {
	if !notified {
		deadline := time.Now().Add(max(f.options.PollInterval, backoffFactor*took))
		for {
			// Whoever waits at the connection hears at once when it is lost.
			if heard, err := waitForNotification(ctx, l, time.Until(deadline)); err != nil || !heard {
				return false, err
			}
		}
	}
	rest := time.NewTimer(minInterval)
	defer rest.Stop()
	select {
	case <-rest.C: // what comes in meanwhile stays in the connection
	case <-ctx.Done():
		return false, ctx.Err()
	}
	deadline := time.Now().Add(max(notifiedPoll, f.options.PollInterval))
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return f.hasTrigger(ctx, l)
		}
		heard, err := waitForNotification(ctx, l, min(left, pingEvery))
		switch {
		case err != nil:
			return false, err
		case heard:
			drainNotifications(ctx, l)
			return true, nil
		}
		if err := f.ping(ctx, l); err != nil {
			return false, err
		}
	}
}

// waitForNotification waits for a notification for a while. An error says that the connection is lost, or that ctx has ended.
func waitForNotification(ctx context.Context, l *conn, d time.Duration) (heard bool, err error) {
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

// drainNotifications drops the notifications that have come in: one look answers all of them.
func drainNotifications(ctx context.Context, l *conn) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for {
		if _, err := l.pg.WaitForNotification(ended); err != nil {
			return
		}
	}
}

// ping makes sure that the connection is there.
func (f *Feed) ping(ctx context.Context, l *conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	if err := l.pg.Ping(ctx); err != nil {
		return fmt.Errorf("trying the connection: %w", err)
	}
	return nil
}
