package dbfeed

import (
	"context"
	"errors"
	"time"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

const (
	// NotifiedPollInterval is the minimum poll interval of a database that sends notifications of changes.
	NotifiedPollInterval = 30 * time.Second

	// BackoffFactor limits the load: the pause after a poll is at least four times as long as the poll.
	BackoffFactor = 4

	// MinInterval is the minimum interval between polls, regardless of the number of notifications.
	MinInterval = 100 * time.Millisecond

	// CloseTimeout is the timeout for closing a connection properly.
	CloseTimeout = 200 * time.Millisecond
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
	if _, ok := errors.AsType[*docsgptkeys.UnknownExclusionsError](err); ok {
		return err
	}
	err, _ = f.config.ClassifyError(err, f.config.Options.Timeout)
	return err
}

func (f *Feed) watch(ctx context.Context, changed func()) error {
	ctx, c, err := f.config.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Cause(f.follow(ctx, c, changed))
}

// follow polls the database until an error occurs.
func (f *Feed) follow(ctx context.Context, c Conn, changed func()) error {
	if err := c.Subscribe(ctx); err != nil {
		return err
	}
	for first := true; ; first = false {
		begun := time.Now()
		pending, err := f.poll(ctx, c, first)
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
		if err := c.Wait(ctx, f.cache, time.Since(begun)); err != nil {
			return err
		}
	}
}

// poll reads the changes, or all agents if that is required, and reports whether there are pending changes.
func (f *Feed) poll(ctx context.Context, c Conn, all bool) (pending bool, err error) {
	if err := f.lock(ctx); err != nil {
		return false, err
	}
	defer f.unlock()
	if !all {
		if pending, ok, err := c.ReadChanges(ctx, f.cache); ok || err != nil {
			return pending, err
		}
	}
	agents, at, err := c.ReadAll(ctx)
	if err != nil {
		return false, err
	}
	if err := f.cache.CheckExclusions(agents); err != nil {
		return false, err
	}
	return f.cache.Diff(agents, at), nil
}

// Pause waits for a duration. It returns an error if ctx is canceled.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
