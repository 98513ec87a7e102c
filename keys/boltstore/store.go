package boltstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/docsgate/docsgate/keys/registry"
)

// Errors that are wrapped in ones that say more.
var (
	ErrLocked  = errors.New("another process has it open")
	ErrDamaged = errors.New("it is damaged or no key store")
	ErrNewer   = errors.New("it was written by a newer docsgate")
	ErrClosed  = errors.New("the key store is closed")
)

// Options configure a Store.
type Options struct {
	Path string           // of the file, required
	Now  func() time.Time // nil: time.Now
}

// Store is a registry.Storage in one file, which no other process can open meanwhile. Reads see the last write that was
// acknowledged and do not wait for writes. Functions that are given to it must not call Close.
type Store struct {
	path string
	db   handle
	now  func() time.Time

	jobs   chan *job
	writer chan struct{} // closed when the writer has ended

	mu     sync.Mutex // guards closed, and use against being waited for before it is added to
	closed bool
	use    sync.WaitGroup
	close  func() error

	broken atomic.Pointer[brokenError] // why nothing is done any more; nil: all is well
}

var _ registry.Storage = (*Store)(nil)

// brokenError is set once and stays.
type brokenError struct{ error }

func (b *brokenError) Unwrap() error { return b.error }

func newStore(path string, h handle, o Options) *Store {
	s := &Store{path: path, db: h, now: o.Now, jobs: make(chan *job, maxBatch), writer: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	s.close = sync.OnceValue(s.shut)
	go s.write()
	return s
}

// Name implements registry.Storage: "store:" and the path.
func (s *Store) Name() string { return "store:" + s.path }

// Watch implements registry.Storage. Nobody else can write, so it only waits.
func (s *Store) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// Close implements registry.Storage. It waits for all calls that are under way; whatever is called later returns an error
// that wraps ErrClosed. Closing again does nothing.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.use.Wait()
	close(s.jobs)
	<-s.writer
	if s.broken.Load() != nil {
		// bbolt may hold locks for ever. Closing the file gives its lock back; the mapping stays until the process ends.
		return s.db.file.Close()
	}
	if err := s.db.close(); err != nil {
		return fmt.Errorf("closing the key store %s: %w", s.path, err)
	}
	return nil
}

// enter begins a call. If it returns no error, leave ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b := s.broken.Load(); b != nil {
		return b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%s: %w", s.path, ErrClosed)
	}
	s.use.Add(1)
	return nil
}

func (s *Store) leave() { s.use.Done() }

// fail ends all work with the file: what is in it is not known any more.
func (s *Store) fail(err error) error {
	s.broken.CompareAndSwap(nil, &brokenError{fmt.Errorf("the key store %s does nothing more until docsgate is started again: %w", s.path, err)})
	return s.broken.Load()
}

// reading is a read transaction.
type reading struct {
	tx      *bolt.Tx
	err     error // of a function that was given to the store
	outside bool  // that function runs
}

// hand calls a function that was given to the store.
func (t *reading) hand(f func() error) error {
	t.outside = true
	t.err = f()
	t.outside = false
	return t.err
}

// view runs a read. An error of a function that was given to the store is returned as it is.
func (s *Store) view(ctx context.Context, f func(t *reading) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	t := new(reading)
	err := guard(&t.outside, func() error {
		return s.db.db.View(func(tx *bolt.Tx) error {
			t.tx = tx
			return f(t)
		})
	})
	if t.err != nil {
		return t.err
	}
	return s.judge(err)
}

// judge says more of an error of bbolt's or of this package's. After a panic nothing more is done.
func (s *Store) judge(err error) error {
	switch p := (*panicError)(nil); {
	case errors.As(err, &p):
		return s.fail(fmt.Errorf("%w: %w; put a backup in its place", ErrDamaged, err))
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("the key store %s: %w", s.path, advise(err))
	default:
		return err
	}
}

// panicError is what guard makes of a panic.
type panicError struct{ reason any }

func (p *panicError) Error() string { return fmt.Sprint("reading it failed: ", p.reason) }

// guard makes an error of a panic, and of an access to memory that is not there: to bbolt a damaged page can be either.
// Panics while outside is true are somebody else's and go on their way.
func guard(outside *bool, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if *outside {
			return
		}
		if p := recover(); p != nil {
			err = &panicError{p}
		}
	}()
	return f()
}
