// Package quota bounds what request bodies use while they are received: memory, disk and time. It knows neither HTTP nor
// keys: a body has an owner, which is a key's ID, or none while its key is not known.
package quota

import (
	"errors"
	"sync"
	"time"
)

// Errors of a body that cannot be received, or not to its end.
var (
	ErrBusy     = errors.New("too many request bodies are being received")
	ErrKeyShare = errors.New("the key's share of request bodies is in use")
	ErrEvicted  = errors.New("the body was received more slowly than all others, and its place is needed")
	ErrTooSlow  = errors.New("the body is received too slowly")
)

// Defaults of [Limits].
const (
	DefaultMemory  = 128 << 20
	DefaultDisk    = 1 << 30
	DefaultMinRate = 1 << 10
)

// Shares is in how many shares each resource is divided: bodies whose key is not known have one, all keys together have
// the others, and one key has one at most.
const Shares = 4

const (
	// SmallBody is the most memory of a small body, in bytes. Small bodies have memory of their own, so that large ones
	// cannot use up theirs.
	SmallBody = 24 << 10

	// slotShare is how many files belong to a share.
	slotShare = 16

	// window is how long a body may take for as many bytes as the minimum rate gives for that time. The first window
	// begins with the request, so it is also the allowance for a slow start. Any pause that is shorter does no harm.
	window = 30 * time.Second

	// youth is how long a body is received before it is compared with others.
	youth = 2 * time.Second

	// slowFactor is how many times the minimum rate a body of a key must reach, so that no other body of the same key
	// evicts it. A key in a web page is public, so the requests with it are not all of one client.
	slowFactor = 8

	// sweepInterval is the time between two looks at the rates.
	sweepInterval = time.Second

	// evictionTime is how long an evicted body may take to free what it holds.
	evictionTime = time.Second
)

// Limits are the bounds over all bodies. A zero field means the default.
type Limits struct {
	Memory  int64 // bytes in memory
	Disk    int64 // bytes in files
	MinRate int64 // bytes per second, of each body
}

// resource is something that bodies use.
type resource int

const (
	small resource = iota // bytes in memory of small bodies
	large                 // bytes in memory of all others
	slots                 // files
	disk                  // bytes in files
	resources
)

// usage is an amount of each resource.
type usage [resources]int64

// pool is what a group of bodies uses: those without a known key, or those of one key.
type pool struct {
	used    usage
	leaving usage // the part of used that evicted bodies are about to free
}

// Quota is the accounting over all bodies. It is safe for concurrent use.
type Quota struct {
	mu        sync.Mutex
	share     usage
	minRate   int64
	anonymous pool
	keyed     usage // of all keys together
	keys      map[string]*pool
	received  list
	freed     chan struct{} // closed when something is freed; nil if no body waits
	sweeping  bool          // the timer of sweep runs
}

// New returns an empty quota.
func New(l Limits) *Quota {
	q := &Quota{keys: map[string]*pool{}}
	q.SetLimits(l)
	return q
}

// SetLimits replaces the limits. They hold for bodies that are being received, too; what a body has already is not taken
// from it.
func (q *Quota) SetLimits(l Limits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	memory := orDefault(l.Memory, DefaultMemory) / Shares
	q.share = usage{small: memory / 4, large: memory - memory/4, slots: slotShare, disk: orDefault(l.Disk, DefaultDisk) / Shares}
	q.minRate = orDefault(l.MinRate, DefaultMinRate)
}

func orDefault(value, otherwise int64) int64 {
	if value == 0 {
		return otherwise
	}
	return value
}

// poolOf returns the pool of an owner.
func (q *Quota) poolOf(owner string) *pool {
	if owner == "" {
		return &q.anonymous
	}
	p := q.keys[owner]
	if p == nil {
		p = &pool{}
		q.keys[owner] = p
	}
	return p
}

// forget drops the pool of a key that uses nothing.
func (q *Quota) forget(owner string) {
	if p := q.keys[owner]; p != nil && p.used == (usage{}) {
		delete(q.keys, owner)
	}
}

// assign makes a body hold want, as one of the owner's.
func (q *Quota) assign(b *Body, owner string, want usage) {
	from, to := q.poolOf(b.owner), q.poolOf(owner)
	for r := range resources {
		from.used[r] -= b.held[r]
		to.used[r] += want[r]
		if b.leaving {
			from.leaving[r] -= b.held[r]
			to.leaving[r] += want[r]
		}
		if b.owner != "" {
			q.keyed[r] -= b.held[r]
		}
		if owner != "" {
			q.keyed[r] += want[r]
		}
	}
	before := b.owner
	b.owner, b.held = owner, want
	q.forget(before)
	q.forget(owner)
	q.wake()
}

// wake lets those look again who wait for something to be freed.
func (q *Quota) wake() {
	if q.freed != nil {
		close(q.freed)
		q.freed = nil
	}
}

// list is a list of the bodies that are being received.
type list struct{ first *Body }

func (l *list) add(b *Body) {
	if b.next = l.first; b.next != nil {
		b.next.previous = b
	}
	l.first = b
}

func (l *list) remove(b *Body) {
	if b.previous != nil {
		b.previous.next = b.next
	} else {
		l.first = b.next
	}
	if b.next != nil {
		b.next.previous = b.previous
	}
	b.previous, b.next = nil, nil
}
