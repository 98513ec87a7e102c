package mongofeed

import (
	"context"
	"time"
)

const (
	// streamedPoll is the time between two looks at a database that says itself when there is something new.
	streamedPoll = 30 * time.Second

	// backoffFactor bounds the load: a look that takes long is followed by a pause of four times that.
	backoffFactor = 4

	// minInterval is the shortest time between two looks, however often the database asks for one, and between two questions for
	// changes.
	minInterval = 100 * time.Millisecond
)

// Watch calls changed once it has compared all records, and then whenever some have changed, until ctx ends; then it
// returns nil. It returns an error when the database is lost. One call is to run at a time.
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
	ctx, l, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	return l.cause(f.follow(ctx, l, changed))
}

// follow reads and waits until that goes wrong.
func (f *Feed) follow(ctx context.Context, l *conn, changed func()) error {
	s, err := f.openStreams(ctx, l) // before all is read, so that nothing is missed in between
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
		if first || pending { // also once for a load that failed
			changed()
		}
		f.cache.Save(false)
		if s, err = f.wait(ctx, l, s, time.Since(begun)); err != nil {
			return err
		}
	}
}

// poll reads what has changed, or all, and tells whether there is something to give out.
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

// wait returns when the next look is due; took is how long the last one has taken. An error says that the connection is
// lost. It returns the streams to wait for next.
func (f *Feed) wait(ctx context.Context, l *conn, s streams, took time.Duration) (streams, error) {
	if len(s) == 0 {
		return nil, pause(ctx, max(f.options.PollInterval, backoffFactor*took))
	}
	if err := pause(ctx, max(minInterval, backoffFactor*took)); err != nil { // what comes meanwhile stays in the streams
		return s, err
	}
	for deadline := time.Now().Add(max(streamedPoll, f.options.PollInterval)); time.Now().Before(deadline); {
		begun := time.Now()
		heard, err := f.pollStreams(ctx, s)
		switch {
		case err != nil:
			return s, err
		case heard == statusClosed:
			// The collection was dropped or renamed.
			s.close()
			return f.openStreams(ctx, l)
		case heard == statusChange:
			return s, nil
		case heard == statusIdle:
			f.cache.Confirm(begun)
			f.cache.Save(false)
		}
		// A server need not wait, and where there are many conversations there is always something to tell.
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
