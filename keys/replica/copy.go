package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// keptPositions is the number of positions in a copy. They are needed to find out which writes the remote storage has lost.
const keptPositions = 64

// origin is what a copy is of. It is stored in the copy.
type origin struct {
	Name      string              `json:"name"`      // of the remote storage
	Positions []registry.Position `json:"positions"` // of the copy, the newest first
	Confirmed time.Time           `json:"confirmed"` // when the copy was last known to be current
}

// localCopy is the copy of the records and the overrides in a file. A copy that cannot be used is like none: it is replaced as soon as the
// remote storage can be read.
type localCopy struct {
	path string // empty: there is no copy
	name string
	log  *slog.Logger

	syncing sync.Mutex // held while the copy is compared with the remote storage and written

	mu        sync.Mutex // guards the following
	store     *boltstore.Store
	origin    origin
	usable    bool          // what is in the store may be used while the remote storage is unavailable
	rebuild   bool          // the store must be replaced
	locked    bool          // the file is in use, so there is no store
	advanced  chan struct{} // closed and replaced when origin has changed
	lastError string        // of a write, so that it is logged once
}

// openCopy opens the copy at a path. Errors are logged.
func openCopy(ctx context.Context, path, name string, log *slog.Logger) *localCopy {
	c := &localCopy{path: path, name: name, log: log, advanced: make(chan struct{})}
	if path == "" {
		return c
	}
	if c.open(ctx); c.locked {
		log.Info("the copy of the keys is in use by another process or by the previous configuration", "path", path)
	}
	return c
}

// open opens the file, if it exists and no other process has it open.
func (c *localCopy) open(ctx context.Context) {
	store, o, err := openFile(ctx, c.path)
	locked := errors.Is(err, boltstore.ErrLocked)
	if err != nil && !locked {
		c.log.Warn("the copy of the keys is ignored, and is written again as soon as the database is available", "path", c.path, "error", err)
	}
	if store != nil && o.Name != c.name {
		c.log.Warn("the copy of the keys is ignored, since it is of another database", "path", c.path, "database", o.Name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store, c.origin, c.usable, c.locked = store, o, store != nil && o.Name == c.name, locked
}

// openFile returns no store if the file does not exist.
func openFile(ctx context.Context, path string) (store *boltstore.Store, o origin, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, o, nil
	}
	if store, err = boltstore.Open(ctx, boltstore.Options{Path: path}); err != nil {
		return nil, o, err
	}
	if o, err = readOrigin(ctx, store); err != nil {
		return nil, o, errors.Join(err, store.Close())
	}
	return store, o, nil
}

func readOrigin(ctx context.Context, store *boltstore.Store) (o origin, err error) {
	text, err := store.Origin(ctx)
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(text, &o); err != nil || len(o.Positions) == 0 {
		return o, errors.New("it is not a copy of another key store")
	}
	return o, nil
}

// reopen opens the file again if it was in use, and reports whether it still is. c.syncing is held.
func (c *localCopy) reopen(ctx context.Context) (inUse bool) {
	c.mu.Lock()
	locked := c.locked
	c.mu.Unlock()
	if locked {
		c.open(ctx)
		c.mu.Lock()
		locked = c.locked
		c.mu.Unlock()
	}
	return locked
}

func (c *localCopy) temporary() string { return c.path + ".new" }

// known returns the positions of the copy, newest first; none if it is to be replaced.
func (c *localCopy) known() []registry.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil || c.rebuild {
		return nil
	}
	return c.origin.Positions
}

// storage returns the copy as a storage, or nil if it cannot be used.
func (c *localCopy) storage() registry.Storage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil || !c.usable {
		return nil
	}
	return c.store
}

// read calls yield for all records, and returns the position of the copy and when it was confirmed. Without a copy there are none. A copy
// that is older than what was loaded before is an error, since it may lack revocations.
func (c *localCopy) read(
	ctx context.Context, loaded registry.Position, yield func(*registry.Record) error,
) (at registry.Position, confirmed time.Time, err error) {
	c.mu.Lock()
	store, o, usable := c.store, c.origin, c.usable
	c.mu.Unlock()
	if store == nil || !usable {
		if loaded != (registry.Position{}) {
			return at, confirmed, errors.New("there is none")
		}
		return at, confirmed, nil
	}
	if at = o.Positions[0]; at.Store == loaded.Store && at.Revision < loaded.Revision {
		return at, confirmed, errors.New("it is older than the keys in use")
	}
	_, err = store.All(ctx, yield)
	return at, o.Confirmed, err
}

// await waits until the copy has a position, but not longer than a duration.
func (c *localCopy) await(ctx context.Context, p registry.Position, limit time.Duration) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		c.mu.Lock()
		failed := c.store == nil || c.rebuild || c.lastError != ""
		at, advanced := origin{}, c.advanced
		if !failed {
			at = c.origin
		}
		c.mu.Unlock()
		if failed || at.Positions[0].Store != p.Store || at.Positions[0].Revision >= p.Revision {
			return
		}
		select {
		case <-advanced:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// advance writes what has changed up to a position. c.syncing is held.
func (c *localCopy) advance(ctx context.Context, records []*registry.Record, snap *Snapshot, at time.Time) error {
	c.mu.Lock()
	store, next := c.store, c.origin
	c.mu.Unlock()
	next.Name, next.Confirmed = c.name, at
	if next.Positions[0] != snap.At {
		next.Positions = append([]registry.Position{snap.At}, next.Positions[:min(len(next.Positions), keptPositions-1)]...)
	}
	if err := replicate(ctx, store, records, snap, next); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(next)
	return nil
}

// set records what the store has. c.mu is held.
func (c *localCopy) set(o origin) {
	c.origin, c.usable = o, true
	close(c.advanced)
	c.advanced = make(chan struct{})
}

func replicate(ctx context.Context, store *boltstore.Store, records []*registry.Record, snap *Snapshot, o origin) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return store.Replicate(ctx, boltstore.Replication{
		Records: records, HasOverrides: snap.HasOverrides, Overrides: snap.Overrides, Revision: snap.At.Revision, Origin: text,
	})
}

// chunk is the number of records that a new copy is written with at a time. Digests are random, so each transaction writes most of their
// pages: larger chunks write less, but need more memory.
const chunk = 25_000

// replacement is a new copy that is being written.
type replacement struct {
	copy    *localCopy
	store   *boltstore.Store
	records []*registry.Record
}

// replace starts to write a new copy. discard must be called. c.syncing is held.
func (c *localCopy) replace(ctx context.Context) (*replacement, error) {
	r := &replacement{copy: c}
	if _, err := os.Stat(c.temporary()); err == nil { // of a process that was killed, or that is writing it now
		if r.store, err = boltstore.Open(ctx, boltstore.Options{Path: c.temporary()}); errors.Is(err, boltstore.ErrLocked) {
			return nil, err
		}
		r.discard()
	}
	var err error
	r.store, err = boltstore.Open(ctx, boltstore.Options{Path: c.temporary()})
	return r, err
}

// add adds a record. The file is not complete yet, so it has no origin.
func (r *replacement) add(ctx context.Context, rec *registry.Record) error {
	r.records = append(r.records, rec)
	if len(r.records) < chunk {
		return nil
	}
	err := replicate(ctx, r.store, r.records, new(Snapshot), origin{})
	r.records = r.records[:0]
	return err
}

// finish completes the new copy, and replaces the current one.
func (r *replacement) finish(ctx context.Context, snap *Snapshot, at time.Time) error {
	c := r.copy
	o := origin{Name: c.name, Positions: []registry.Position{snap.At}, Confirmed: at}
	if err := replicate(ctx, r.store, r.records, snap, o); err != nil {
		return err
	}
	if err := r.store.Close(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store != nil {
		_ = c.store.Close() // it is replaced
		c.store = nil
	}
	if err := os.Rename(c.temporary(), c.path); err != nil {
		return err
	}
	store, err := boltstore.Open(ctx, boltstore.Options{Path: c.path})
	if err != nil {
		return err
	}
	c.store, c.rebuild = store, false
	c.set(o)
	return nil
}

// discard removes the new copy, unless it was completed.
func (r *replacement) discard() {
	if r.store != nil {
		_ = r.store.Close()
	}
	_ = os.Remove(r.copy.temporary())
}

// failed records the result of writing the copy, and logs the first error of several.
func (c *localCopy) failed(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	first := text != c.lastError
	c.lastError = text
	if err != nil {
		c.rebuild = c.rebuild || c.store == nil || isBroken(c.store)
	}
	c.mu.Unlock()
	if err != nil && first {
		c.log.Error("the copy of the keys cannot be written; keys stay valid, but after a restart during an outage of the database the gate "+
			"has outdated keys or none", "path", c.path, "error", fmt.Errorf("%w", err))
	}
}

// isBroken reports whether a store cannot be read any more.
func isBroken(s *boltstore.Store) bool {
	_, err := s.Origin(context.Background())
	return err != nil
}

func (c *localCopy) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil {
		return nil
	}
	store := c.store
	c.store = nil
	return store.Close()
}
