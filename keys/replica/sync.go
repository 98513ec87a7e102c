package replica

import (
	"context"
	"errors"
	"time"

	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// confirmEvery is how often the time at which the copy was current is written to it.
const confirmEvery = time.Minute

// closeTimeout is the timeout for writing the last changes to the copy in Close.
const closeTimeout = 2 * time.Second

// errReplace stops a read whose records are not changes of the copy.
var errReplace = errors.New("the copy must be replaced")

// errInUse means that another process, or the previous configuration, has the copy open.
var errInUse = errors.New("the copy is in use")

// copyError is an error of the copy and not of the remote storage.
type copyError struct{ error }

// followWithCopy writes each change to the copy.
func (s *Storage) followWithCopy(ctx context.Context) {
	if s.copy.path == "" {
		return
	}
	tick := time.NewTicker(confirmEvery)
	defer tick.Stop()
	for {
		state, changed := s.current()
		var retry <-chan time.Time
		if state.up {
			if err := s.syncCopy(ctx, true); err != nil && ctx.Err() == nil {
				retry = time.After(maxBackoff)
			}
		}
		select {
		case <-ctx.Done():
			if state.up {
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
				defer cancel()
				_ = s.syncCopy(last, false) // the error is already logged
			}
			return
		case <-changed:
		case <-retry:
		case <-tick.C:
		}
	}
}

// reconcile compares the copy, if there is one, with the history of the remote storage. If the storage has lost writes, what they have
// revoked is written again.
func (s *Storage) reconcile(ctx context.Context) error {
	if len(s.copy.known()) == 0 {
		return nil
	}
	return s.syncCopy(ctx, false)
}

// syncCopy updates the copy, and with replace also writes a new one if that is necessary. Errors of the copy are logged and returned only
// with replace.
func (s *Storage) syncCopy(ctx context.Context, replace bool) error {
	c := s.copy
	c.syncing.Lock()
	defer c.syncing.Unlock()
	if c.reopen(ctx) {
		return errInUse
	}
	err := s.updateCopy(ctx)
	if errors.Is(err, errReplace) && replace {
		err = s.replaceCopy(ctx)
	}
	var ofCopy *copyError
	switch {
	case errors.Is(err, errReplace):
		return nil // later
	case err == nil:
		c.failed(nil)
	case errors.As(err, &ofCopy) && ctx.Err() == nil:
		if c.failed(ofCopy.error); !replace {
			return nil
		}
	}
	return err
}

// updateCopy writes what has changed since the copy was last written. It returns errReplace if a new copy is required.
func (s *Storage) updateCopy(ctx context.Context) error {
	c := s.copy
	known := c.known()
	if len(known) == 0 {
		return errReplace
	}
	var (
		start   = time.Now()
		snap    *Snapshot
		records []*registry.Record
	)
	err := s.remote.Read(ctx, Query{Known: known}, func(begun *Snapshot) error {
		if snap = begun; snap.History != Same {
			return errReplace
		}
		return nil
	}, func(r *registry.Record) error {
		records = append(records, r)
		return nil
	})
	switch {
	case errors.Is(err, errReplace) && snap.History == Diverged:
		if err := s.reapply(ctx, snap, known[0]); err != nil {
			return err
		}
		c.mustReplace(true)
		return errReplace
	case errors.Is(err, errReplace):
		c.mustReplace(snap.History == Unknown)
		return errReplace
	case err != nil:
		return err
	}
	c.mu.Lock()
	current := c.origin.Positions[0] == snap.At && c.origin.Name == c.name && start.Sub(c.origin.Confirmed) < confirmEvery
	c.mu.Unlock()
	if current {
		return nil
	}
	if err := c.advance(ctx, records, snap, start); err != nil {
		return &copyError{err}
	}
	return nil
}

// mustReplace records that the copy must be replaced. usable reports whether it may be used until then.
func (c *localCopy) mustReplace(usable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rebuild, c.usable = true, c.usable && usable
}

// replaceCopy writes a new copy.
func (s *Storage) replaceCopy(ctx context.Context) error {
	start := time.Now()
	next, err := s.copy.replace(ctx)
	if errors.Is(err, boltstore.ErrLocked) {
		return errInUse
	}
	if err != nil {
		return &copyError{err}
	}
	defer next.discard()
	var snap *Snapshot
	count := 0
	if err := s.remote.Read(ctx, Query{All: true, Slow: true}, func(begun *Snapshot) error { snap = begun; return nil },
		func(r *registry.Record) error {
			count++
			if err := next.add(ctx, r); err != nil {
				return &copyError{err}
			}
			return nil
		}); err != nil {
		return err
	}
	if err := next.finish(ctx, snap, start); err != nil {
		return &copyError{err}
	}
	s.log.Info("wrote a new copy of the keys", "path", s.copy.path, "keys", count, "took", time.Since(start).Round(time.Millisecond))
	return nil
}
