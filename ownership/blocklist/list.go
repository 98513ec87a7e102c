package blocklist

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a list. An entry takes about 100 bytes of memory.
const (
	MaxEntries       = 200_000
	MaxEntriesPerKey = 10_000
)

// ErrFull is returned if a list or the part of a key is full. Entries expire.
var ErrFull = errors.New("the list of blocked conversations is full")

// Identity identifies the content of a list since it was created.
type Identity [16]byte

// Key is a fingerprint of the key that a limit applies to.
type Key [16]byte

// List is a list of blocked conversations. It is safe for concurrent use. Create one with New.
type List struct {
	maxAge           time.Duration
	most, mostPerKey int
	identity         atomic.Pointer[Identity]

	mu      sync.Mutex // guards the following
	entries map[entryID]entry
	perKey  map[Key]int
	pending map[entryID]bool // changes that are not in the file yet; true: the entry was added
	waiting []chan error     // of Add, for the next commit
	file    *file            // nil: not open
	closed  bool

	wake    chan struct{} // there are waiters
	stop    chan struct{}
	stopped sync.WaitGroup
}

// entryID is a fingerprint of the ID of a conversation.
type entryID [16]byte

type entry struct {
	key  Key
	hour int64 // of Add, since 1970
}

// New returns an empty list in memory. Entries expire after maxAge, when no ID is valid that was signed before.
func New(maxAge time.Duration) *List {
	l := &List{
		maxAge: maxAge, most: MaxEntries, mostPerKey: MaxEntriesPerKey, wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	l.reset(newIdentity(), nil)
	return l
}

func newIdentity() (id Identity) {
	_, _ = rand.Read(id[:]) // never fails: the process crashes instead
	return id
}

// reset replaces the content. The caller holds mu, or is the only user.
func (l *List) reset(id Identity, entries map[entryID]entry) {
	l.entries, l.perKey, l.pending = map[entryID]entry{}, map[Key]int{}, map[entryID]bool{}
	for at, e := range entries {
		l.entries[at] = e
		l.perKey[e.key]++
	}
	for _, done := range l.waiting {
		done <- errReplaced
	}
	l.waiting = nil
	l.identity.Store(&id)
}

var errClosed = errors.New("the list is closed")

var errReplaced = errors.New("the list was replaced by that of its file")

// Identity returns the identity of the list. It changes when the list is opened.
func (l *List) Identity() Identity { return *l.identity.Load() }

// Add blocks a conversation, for a key. It reports false if the conversation was blocked before: of several concurrent calls only one
// returns true. After an error, such as ErrFull, that of ctx or one of writing the file, the conversation must not be used. The entry
// survives a crash when Add returns.
func (l *List) Add(ctx context.Context, key Key, id string, now time.Time) (added bool, err error) {
	at := fingerprint(id)
	l.mu.Lock()
	switch _, blocked := l.entries[at]; {
	case l.closed:
		l.mu.Unlock()
		return false, errClosed
	case blocked:
		l.mu.Unlock()
		return false, nil
	case len(l.entries) >= l.most, l.perKey[key] >= l.mostPerKey:
		l.mu.Unlock()
		return false, ErrFull
	}
	l.entries[at] = entry{key, hourOf(now)}
	l.perKey[key]++
	if l.file == nil {
		l.mu.Unlock()
		return true, nil
	}
	l.pending[at] = true
	done := make(chan error, 1)
	l.waiting = append(l.waiting, done)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		return false, ctx.Err() // the entry remains
	}
	if err != nil {
		l.Remove(id)
		return false, err
	}
	return true, nil
}

// Remove unblocks a conversation. A crash within the next second may undo it. It does nothing if the conversation is not blocked.
func (l *List) Remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(fingerprint(id))
}

// remove removes an entry. The caller holds mu.
func (l *List) remove(at entryID) {
	e, blocked := l.entries[at]
	if !blocked {
		return
	}
	delete(l.entries, at)
	if l.perKey[e.key]--; l.perKey[e.key] == 0 {
		delete(l.perKey, e.key)
	}
	if l.file != nil {
		l.pending[at] = false
	}
}

// Blocked reports whether a conversation is blocked.
func (l *List) Blocked(_ context.Context, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, blocked := l.entries[fingerprint(id)]
	return blocked
}

// Len returns the number of entries.
func (l *List) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// Expire removes the entries that are older than the IDs that they block.
func (l *List) Expire(now time.Time) {
	last := hourOf(now) - int64(l.maxAge/time.Hour) - 2 // an hour for rounding, and one for the clock of another gate
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, e := range l.entries {
		if e.hour < last {
			l.remove(at)
		}
	}
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

func fingerprint(id string) entryID {
	sum := sha256.Sum256([]byte(id))
	return entryID(sum[:16])
}
