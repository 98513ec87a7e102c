// Package replica makes a registry.Storage in another system usable while that is unavailable: it follows the storage, and keeps a copy
// of the records and the overrides in a local file, with which a gate can start. The copy contains digests of tokens, and agents' keys
// only encrypted.
//
//	storage, err := pgstore.New(pgstore.Options{URI: uri})
//	if err != nil {
//		return err
//	}
//	shared, err := replica.Open(replica.Options{Remote: storage, Path: filepath.Join(dir, "store.copy"), Log: logger})
//	if err != nil {
//		return err
//	}
//	r, err := registry.New(registry.Options{Storage: shared})
//
// If the storage has lost writes, by a failover to a standby server that lacked them or by the restore of a backup, what they have
// revoked or disabled is written again before anything is read; see reapply.go.
package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

// DefaultMaxStale is the default of Options.MaxStale.
const DefaultMaxStale = 24 * time.Hour

// How long the storage waits before it connects again. The wait doubles from the minimum to the maximum.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// connectTimeout is the timeout for connecting, which includes the upgrade of a schema.
const connectTimeout = 2 * time.Minute

// Options configures a Storage.
type Options struct {
	Remote   Remote        // required; Close closes it
	Path     string        // of the file with the copy, which is created with mode 0600; empty: no copy
	MaxStale time.Duration // how long the last keys remain valid while the remote storage is unavailable; default DefaultMaxStale
	Log      *slog.Logger  // nil: no logging
	OnLoss   func()        // called when the remote storage has lost writes; nil: nothing

	// BeforeWrite is called before each write of records or overrides, while the remote storage is available. An error rejects the write.
	// nil: nothing.
	BeforeWrite func(context.Context) error
}

// Storage is a registry.RemoteStorage. It is safe for concurrent use. Create one with Open.
type Storage struct {
	options Options
	remote  Remote
	log     *slog.Logger
	copy    *localCopy

	stop    context.CancelFunc
	running sync.WaitGroup
	tried   chan struct{} // closed when the first attempt to connect has ended

	mu        sync.Mutex // guards the following
	state     connection
	changed   chan struct{} // closed and replaced when state has changed
	loaded    registry.Position
	confirmed time.Time
}

// connection is the state of the connection to the remote storage.
type connection struct {
	up       bool
	cause    error             // why it is not up
	sessions int               // number of connections so far
	seen     registry.Position // last position that the remote storage has reported
}

var (
	_ registry.RemoteStorage = (*Storage)(nil)
	_ registry.SizedStorage  = (*Storage)(nil)
)

// ErrClosed is the error of calls after Close.
var ErrClosed = errors.New("the key store is closed")

// errConnecting is the cause until the first attempt to connect has ended.
var errConnecting = fmt.Errorf("%w: it is not connected yet", registry.ErrUnavailable)

// Open returns a storage, which connects in the background and again after each outage. Open does not wait for that and does not fail if
// the remote storage is unavailable or the copy is damaged. The caller must call Close.
func Open(o Options) (*Storage, error) {
	if o.Remote == nil {
		return nil, errors.New("a replica needs a storage")
	}
	if o.MaxStale < 0 {
		return nil, errors.New("max_stale must not be negative")
	}
	if o.MaxStale == 0 {
		o.MaxStale = DefaultMaxStale
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Storage{
		options: o, remote: o.Remote, log: o.Log, stop: stop, tried: make(chan struct{}), changed: make(chan struct{}),
		state: connection{cause: errConnecting},
		copy:  openCopy(ctx, o.Path, o.Remote.Name(), o.Log),
	}
	s.running.Go(func() { s.follow(ctx) })
	s.running.Go(func() { s.followWithCopy(ctx) })
	return s, nil
}

// Name implements registry.Storage.
func (s *Storage) Name() string { return s.remote.Name() }

// Close implements registry.Storage. It closes the remote storage, too.
func (s *Storage) Close() error {
	s.stop()
	s.running.Wait()
	s.lost(fmt.Errorf("%s: %w", s.Name(), ErrClosed))
	return errors.Join(s.copy.close(), s.remote.Close())
}

// LastConfirmed implements registry.RemoteStorage.
func (s *Storage) LastConfirmed() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.confirmed
}

// MaxStale implements registry.RemoteStorage.
func (s *Storage) MaxStale() time.Duration { return s.options.MaxStale }

// follow keeps the storage connected.
func (s *Storage) follow(ctx context.Context) {
	for wait := minBackoff; ctx.Err() == nil; wait = min(2*wait, maxBackoff) {
		begun := time.Now()
		err := s.connect(ctx)
		if err == nil {
			err = s.remote.Follow(ctx, s.seen)
		}
		if err == nil {
			err = fmt.Errorf("%w: the connection has ended", registry.ErrUnavailable)
		}
		s.lost(err)
		if time.Since(begun) > maxBackoff {
			wait = minBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (s *Storage) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return s.remote.Connect(ctx)
}

// seen records a position that the remote storage has reported. It is also proof of the connection.
func (s *Storage) seen(p registry.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == s.loaded {
		s.confirmed = time.Now()
	}
	if s.state.up && p == s.state.seen {
		return
	}
	if !s.state.up {
		s.state.up, s.state.cause = true, nil
		s.state.sessions++
	}
	s.state.seen = p
	s.notify()
}

// lost records that the connection was lost, or could not be established.
func (s *Storage) lost(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.up, s.state.cause = false, cause
	s.notify()
}

// notify wakes all that wait for a change of the state. s.mu is held.
func (s *Storage) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
	select {
	case <-s.tried:
	default:
		close(s.tried)
	}
}

// current returns the state, and a channel that is closed when it changes.
func (s *Storage) current() (connection, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.changed
}

// available returns nil if the remote storage is connected, or else the reason. It waits for the first attempt to connect.
func (s *Storage) available(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.tried:
	case <-ctx.Done():
		return ctx.Err()
	}
	state, _ := s.current()
	return state.cause
}

// Watch implements registry.Storage. If the remote storage is unavailable, Watch waits until it is available. When the connection is
// lost after that, it returns an error.
func (s *Storage) Watch(ctx context.Context, changed func()) error {
	session, last := 0, registry.Position{}
	for {
		state, next := s.current()
		switch {
		case errors.Is(state.cause, ErrClosed):
			return state.cause
		case session != 0 && (!state.up || state.sessions != session):
			if state.cause == nil {
				state.cause = fmt.Errorf("%w: the connection was lost for a short time", registry.ErrUnavailable)
			}
			return state.cause
		case state.up && (session == 0 || state.seen != last):
			session, last = state.sessions, state.seen
			changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}

// isUnavailable reports whether a call may read the copy instead.
func isUnavailable(err error) bool { return errors.Is(err, registry.ErrUnavailable) }
