// Package bodyquota bounds the memory, disk space and time that request bodies use while they are received.
//
//   - [Quota] divides memory and files into shares: one for all bodies whose key is not known yet, one for each key, and an
//     upper limit for all keys together. It evicts the slowest body if a share is exhausted, and stops bodies that are
//     received too slowly.
//   - [Body] is one body that is being received, and what it uses.
//
// The package does not depend on HTTP or keys: the owner of a body is the ID of a key, or empty.
package bodyquota

import (
	"errors"
	"sync"
	"time"
)

// Errors of a body that is not received, or not completely.
var (
	ErrBusy     = errors.New("too many request bodies are being received")
	ErrKeyShare = errors.New("the key's share of request bodies is in use")
	ErrEvicted  = errors.New("the body was evicted as the slowest one to make room for another")
	ErrTooSlow  = errors.New("the body is received too slowly")
)

// Defaults of [Limits].
const (
	DefaultMemory  = 128 << 20
	DefaultDisk    = 1 << 30
	DefaultMinRate = 1 << 10
)

// Shares is the number of shares into which each resource is divided. Bodies whose key is not known have one, all keys
// together have the others, and a single key has at most one.
const Shares = 4

const (
	// SmallBody is the largest memory of a small body, in bytes. Small bodies have memory of their own, which large ones
	// cannot exhaust.
	SmallBody = 24 << 10

	// slotShare is the number of files in a share.
	slotShare = 16

	// window is the time in which a body must make progress: it must receive the bytes that the minimum rate amounts to in
	// that time. The first window begins with the first read, so it also covers a slow start. Shorter pauses are harmless.
	window = 30 * time.Second

	// minAge is how long a body is received before its rate is compared with others.
	minAge = 2 * time.Second

	// slowFactor times the minimum rate is the rate from which a body of a key cannot be evicted by another body of the same
	// key. A key in a web page is public, so its requests come from different clients.
	slowFactor = 8

	// sweepInterval is the time between two measurements of the rates.
	sweepInterval = time.Second

	// evictionTime is how long an evicted body may take to free its resources.
	evictionTime = time.Second
)

// Limits bounds all bodies together. A zero field means the default.
type Limits struct {
	Memory  int64 // bytes in memory
	Disk    int64 // bytes in files
	MinRate int64 // bytes per second, of each body
}

// resource is a resource that bodies use.
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

// pool is the usage of a group of bodies: those without a known key, or those of one key.
type pool struct {
	used     usage
	evicting usage // the part of used that evicted bodies are freeing
}

// Quota accounts for all bodies. It is safe for concurrent use.
type Quota struct {
	mu        sync.Mutex
	share     usage
	minRate   int64
	anonymous pool
	keyed     usage // usage of all keys together
	keys      map[string]*pool
	received  list
	freed     chan struct{} // closed when something is freed; nil if no body waits
	sweeping  bool          // whether the timer of sweep runs
}

// New returns an empty quota.
func New(l Limits) *Quota {
	q := &Quota{keys: map[string]*pool{}}
	q.SetLimits(l)
	return q
}

// SetLimits replaces the limits. They also apply to bodies that are being received, but take nothing from a body that it
// has already.
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

// forget removes the pool of a key that uses nothing.
func (q *Quota) forget(owner string) {
	if p := q.keys[owner]; p != nil && p.used == (usage{}) {
		delete(q.keys, owner)
	}
}

// assign makes a body use want, accounted to owner.
func (q *Quota) assign(b *Body, owner string, want usage) {
	from, to := q.poolOf(b.owner), q.poolOf(owner)
	for r := range resources {
		from.used[r] -= b.held[r]
		to.used[r] += want[r]
		if b.evicted {
			from.evicting[r] -= b.held[r]
			to.evicting[r] += want[r]
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

// wake makes all goroutines in grant check again whether there is enough.
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
