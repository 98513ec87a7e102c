package blocklist

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Entry is a conversation that is blocked for a key, as a Storage has it.
type Entry struct {
	ID  [16]byte // fingerprint of the ID of the conversation
	Key Key
}

// Storage is a list of blocked conversations that several gates share. It is safe for concurrent use, also by several gates. What a call has
// changed is durable when it returns, and after an error it is unknown.
type Storage interface {
	// Block adds entries with different IDs. An entry of a conversation that is blocked already is not added: of several concurrent calls
	// for a conversation only one adds it. full are the entries that were not added because of MaxEntries or MaxEntriesPerKey.
	Block(ctx context.Context, entries []Entry) (added, full map[[16]byte]bool, err error)

	// Unblock removes entries. Those that do not exist are skipped.
	Unblock(ctx context.Context, ids [][16]byte) error

	// IsBlocked reports whether there is an entry.
	IsBlocked(ctx context.Context, id [16]byte) (bool, error)

	// ExpireBlocked removes the entries that are older.
	ExpireBlocked(ctx context.Context, age time.Duration) error
}

const (
	// sharedTimeout is the timeout of one access to the storage, so that an outage delays no question for longer.
	sharedTimeout = 5 * time.Second

	// maxUnblock is the maximum number of conversations that wait to be unblocked during an outage. Others stay blocked until they expire.
	maxUnblock = 100_000

	retryInterval  = time.Second
	expireInterval = time.Hour
)

// Shared is a list of blocked conversations in a Storage. A question waits until its conversation is in the storage, so no gate continues a
// conversation that another one has blocked. It is safe for concurrent use. Create one with NewShared.
type Shared struct {
	storage  Storage
	log      *slog.Logger
	identity atomic.Pointer[Identity]

	mu      sync.Mutex // guards the following
	adding  []*addition
	unblock map[[16]byte]bool
	closed  bool

	wake    chan struct{}
	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// addition is a call of Add.
type addition struct {
	Entry
	done  chan struct{} // closed when the rest is set
	added bool
	err   error
}

// NewShared returns a list. maxAge is how long an ID is valid; entries expire afterwards. The caller must call Close.
func NewShared(storage Storage, maxAge time.Duration, log *slog.Logger) *Shared {
	s := &Shared{storage: storage, log: log, unblock: map[[16]byte]bool{}, wake: make(chan struct{}, 1)}
	s.SetIdentity(newIdentity())
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.stopped.Go(func() { s.run(ctx, maxAge) })
	return s
}

// Identity returns the identity of the list.
func (s *Shared) Identity() Identity { return *s.identity.Load() }

// SetIdentity sets the identity that the storage has. Until then it is a random one.
func (s *Shared) SetIdentity(id Identity) { s.identity.Store(&id) }

// retryAdd is how long Add waits before it tries again to add a conversation that is blocked: the client may have asked another gate as soon
// as the last answer has ended, before the conversation is unblocked.
var retryAdd = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}

// Add is like List.Add, but a conversation may also be unblocked while it waits. After an error of the storage, the conversation must not
// be used.
func (s *Shared) Add(ctx context.Context, key Key, id string, _ time.Time) (added bool, err error) {
	for _, wait := range retryAdd {
		if added, err = s.add(ctx, key, id); added || err != nil {
			return added, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return s.add(ctx, key, id)
}

// add is one attempt of Add.
func (s *Shared) add(ctx context.Context, key Key, id string) (added bool, err error) {
	a := &addition{Entry: Entry{ID: fingerprint(id), Key: key}, done: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false, errClosed
	}
	s.adding = append(s.adding, a)
	s.mu.Unlock()
	s.wakeUp()
	select {
	case <-a.done:
		return a.added, a.err
	case <-ctx.Done():
		return false, ctx.Err() // the entry remains
	}
}

// Remove is like List.Remove. It does not wait for the storage. If the gate is killed before, the conversation stays blocked.
func (s *Shared) Remove(id string) {
	s.mu.Lock()
	if len(s.unblock) < maxUnblock {
		s.unblock[fingerprint(id)] = true
	}
	s.mu.Unlock()
	s.wakeUp()
}

// Blocked is like List.Blocked. It also returns true if the storage cannot be read.
func (s *Shared) Blocked(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	blocked, err := s.storage.IsBlocked(ctx, fingerprint(id))
	return blocked || err != nil
}

// Close ends the list. Later calls of Add fail.
func (s *Shared) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.stopped.Wait()
}

func (s *Shared) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run writes the changes of concurrent questions together.
func (s *Shared) run(ctx context.Context, maxAge time.Duration) {
	expire, retry := time.NewTicker(expireInterval), time.NewTicker(retryInterval)
	defer expire.Stop()
	defer retry.Stop()
	failed := false
	for ended := false; !ended; {
		select {
		case <-s.wake:
		case <-retry.C:
		case <-expire.C:
			if err := s.storage.ExpireBlocked(ctx, maxAge+2*time.Hour); err != nil { // an hour for rounding, and one for clocks
				s.log.Warn("removing expired blocked conversations failed", "error", err)
			}
		case <-ctx.Done():
			ended = true
		}
		err := s.write()
		if err != nil && !failed {
			s.log.Error("saving blocked conversations failed: conversations of keys that are bound to sources are not continued", "error", err)
		}
		failed = err != nil
	}
}

// write writes the changes so far: first those of conversations whose answers have ended, since a new question may wait for one of them.
func (s *Shared) write() error {
	s.mu.Lock()
	adding, unblock := s.adding, s.unblock
	s.adding, s.unblock = nil, map[[16]byte]bool{}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), sharedTimeout)
	defer cancel()
	var err error
	if len(unblock) > 0 {
		ids := make([][16]byte, 0, len(unblock))
		for id := range unblock {
			ids = append(ids, id)
		}
		if err = s.storage.Unblock(ctx, ids); err != nil {
			s.unblockLater(ids)
		}
	}
	if err == nil && len(adding) > 0 {
		return s.block(ctx, adding)
	}
	for _, a := range adding {
		a.err = err
		close(a.done)
	}
	return err
}

func (s *Shared) unblockLater(ids [][16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids[:min(len(ids), maxUnblock-len(s.unblock))] {
		s.unblock[id] = true
	}
}

// block adds the entries of several calls of Add. Of calls for one conversation, only the first can add it.
func (s *Shared) block(ctx context.Context, adding []*addition) error {
	first := make(map[[16]byte]*addition, len(adding))
	entries := make([]Entry, 0, len(adding))
	for _, a := range adding {
		if first[a.ID] == nil {
			first[a.ID] = a
			entries = append(entries, a.Entry)
		}
	}
	added, full, err := s.storage.Block(ctx, entries)
	for _, a := range adding {
		switch {
		case err != nil:
			a.err = err // an entry that was stored nevertheless remains: it may be that of another gate
		case first[a.ID] != a:
		case full[a.ID]:
			a.err = ErrFull
		default:
			a.added = added[a.ID]
		}
		close(a.done)
	}
	return err
}
