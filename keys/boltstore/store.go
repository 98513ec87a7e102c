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

// Errors that are wrapped with more detail.
var (
	ErrLocked  = errors.New("another process has the file open")
	ErrDamaged = errors.New("the file is damaged or not a key store")
	ErrNewer   = errors.New("the file was written by a newer version of docsgate")
	ErrClosed  = errors.New("the key store is closed")
)

// Options configures a Store.
type Options struct {
	Path string           // path of the file, required
	Now  func() time.Time // nil: time.Now
}

// Store is a registry.Storage in one file, which is locked against other processes. Reads see all acknowledged writes and do
// not wait for writes. Callbacks must not call Close.
type Store struct {
	path string
	db   boltFile
	now  func() time.Time

	queue  chan *writeOp
	writer chan struct{} // closed when the writer goroutine has ended

	mu     sync.Mutex // guards closed, and orders use.Add before use.Wait
	closed bool
	use    sync.WaitGroup
	close  func() error

	broken atomic.Pointer[brokenError] // why the store rejects all calls; nil: the store works
}

var _ registry.Storage = (*Store)(nil)

// brokenError is the permanent error of a broken store.
type brokenError struct{ error }

func (b *brokenError) Unwrap() error { return b.error }

func newStore(path string, h boltFile, o Options) *Store {
	s := &Store{path: path, db: h, now: o.Now, queue: make(chan *writeOp, maxBatch), writer: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	s.close = sync.OnceValue(s.closeLocked)
	go s.write()
	return s
}

// Name implements registry.Storage. It is "store:" and the path.
func (s *Store) Name() string { return "store:" + s.path }

// Watch implements registry.Storage. No other process can write, so it only waits for the end of ctx.
func (s *Store) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// Close implements registry.Storage. It waits for all calls in progress; later calls return an error that wraps ErrClosed.
// Closing again has no effect.
func (s *Store) Close() error { return s.close() }

func (s *Store) closeLocked() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.use.Wait()
	close(s.queue)
	<-s.writer
	if s.broken.Load() != nil {
		// bbolt may hold its locks forever. Closing the file releases its lock; the mapping stays until the process ends.
		return s.db.file.Close()
	}
	if err := s.db.close(); err != nil {
		return fmt.Errorf("closing the key store %s: %w", s.path, err)
	}
	return nil
}

// acquire begins a call. If it returns nil, leave must be called.
func (s *Store) acquire(ctx context.Context) error {
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

func (s *Store) release() { s.use.Done() }

// markBroken makes the store reject all further calls, since the content of the file is unknown.
func (s *Store) markBroken(err error) error {
	s.broken.CompareAndSwap(nil, &brokenError{fmt.Errorf("the key store %s is unavailable until docsgate is restarted: %w", s.path, err)})
	return s.broken.Load()
}

// readTx is a read transaction.
type readTx struct {
	tx         *bolt.Tx
	err        error // error of a callback
	inCallback bool  // a callback is running
}

// callBack calls a callback.
func (t *readTx) callBack(f func() error) error {
	t.inCallback = true
	t.err = f()
	t.inCallback = false
	return t.err
}

// view runs a read transaction. The error of a callback is returned unchanged.
func (s *Store) view(ctx context.Context, f func(t *readTx) error) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	t := new(readTx)
	err := recoverFault(&t.inCallback, func() error {
		return s.db.db.View(func(tx *bolt.Tx) error {
			t.tx = tx
			return f(t)
		})
	})
	if t.err != nil {
		return t.err
	}
	return s.wrapError(err)
}

// wrapError adds context and advice to an error of bbolt or of this package. After a panic the store rejects all further calls.
func (s *Store) wrapError(err error) error {
	switch p := (*panicError)(nil); {
	case errors.As(err, &p):
		return s.markBroken(fmt.Errorf("%w: %w; restore a backup", ErrDamaged, err))
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("the key store %s: %w", s.path, withHint(err))
	default:
		return err
	}
}

// panicError is the error that guard makes of a panic.
type panicError struct{ reason any }

func (p *panicError) Error() string { return fmt.Sprint("reading the file failed: ", p.reason) }

// recoverFault converts a panic or an access to unmapped memory into an error: a damaged page can cause either in bbolt. While outside
// is true, a panic comes from a callback and is not recovered.
func recoverFault(outside *bool, f func() error) (err error) {
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
