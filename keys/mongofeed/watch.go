package mongofeed

import (
	"context"
	"time"
)

const (
	// streamedPoll is the poll interval of a database with change streams.
	streamedPoll = 30 * time.Second

	// backoffFactor limits the load: the pause after a poll is at least four times as long as the poll.
	backoffFactor = 4

	// minInterval is the minimum interval between polls of the database, regardless of the number of changes, and of the streams.
	minInterval = 100 * time.Millisecond
)

// Watch calls changed when it has compared all records, and then when records have changed. It returns nil when ctx is canceled, or an
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
	ctx, l, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	return l.cause(f.follow(ctx, l, changed))
}

// follow polls the database until an error occurs.
func (f *Feed) follow(ctx context.Context, l *conn, changed func()) error {
	s, err := f.openStreams(ctx, l) // before all records are read, so that no change is missed
	if err != nil {
		return err
	}
	defer func() { s.close() }()
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
		if s, err = f.wait(ctx, l, s, time.Since(begun)); err != nil {
			return err
		}
	}
}

// poll reads the changes, or all records, and reports whether there are pending changes.
func (f *Feed) poll(ctx context.Context, l *conn, all bool) (pending bool, err error) {
	if err := f.lock(ctx); err != nil {
		return false, err
	}
	defer f.unlock()
	if !all && f.last != nil {
		return f.readChanged(ctx, l)
	}
	agents, at, err := f.readFull(ctx, l)
	if err != nil {
		return false, err
	}
	return f.cache.Diff(agents, at), nil
}

// wait waits until the next poll. took is the duration of the last one. It returns the streams to use next, and an error if the
// connection is lost.
func (f *Feed) wait(ctx context.Context, l *conn, s streams, took time.Duration) (streams, error) {
	if len(s) == 0 {
		return nil, pause(ctx, max(f.options.PollInterval, backoffFactor*took))
	}
	if err := pause(ctx, max(minInterval, backoffFactor*took)); err != nil { // changes in the meantime stay in the streams
		return s, err
	}
	for deadline := time.Now().Add(max(streamedPoll, f.options.PollInterval)); time.Now().Before(deadline); {
		begun := time.Now()
		status, err := f.pollStreams(ctx, s)
		switch {
		case err != nil:
			return s, err
		case status == statusClosed:
			// The collection was dropped or renamed.
			s.close()
			return f.openStreams(ctx, l)
		case status == statusChange:
			return s, nil
		case status == statusIdle:
			f.cache.Confirm(begun)
			f.cache.Save(false)
		}
		// The server may return immediately, and with many conversations there are always irrelevant changes.
		if err := pause(ctx, minInterval-time.Since(begun)); err != nil {
			return s, err
		}
	}
	return s, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
