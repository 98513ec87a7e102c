package bodyquota

import (
	"io"
	"sync/atomic"
	"time"
)

// Connection is the connection that a body is received from.
type Connection interface {
	// InterruptRead makes the current read of the body, and all later ones, fail. It is called with the quota locked, and
	// never after [Body.End]. An error means that reads cannot be interrupted.
	InterruptRead() error
}

// Body is one request body and its usage. The zero value uses nothing. Its methods must not be called concurrently. After
// [Body.Receive], [Body.End] and [Body.Free] must be called.
type Body struct {
	quota      *Quota
	source     io.Reader
	connection Connection
	read       atomic.Int64 // bytes
	atEnd      bool

	// Guarded by the quota's mutex.
	previous, next *Body // in Quota.received
	receiving      bool  // whether it is in that list
	owner          string
	held           usage
	stopped        error     // why it is not received completely; nil: not stopped
	evicted        bool      // whether it was evicted and is freeing its usage
	begun          time.Time // the first read
	windowStart    time.Time // begin of the current window
	windowRead     int64     // bytes read before the current window
	swept          time.Time // the last sweep
	sweptRead      int64     // bytes read before the last sweep
	rate           float64   // bytes per second in the last seconds; not set before the first sweep
}

// Receive prepares a body that is read from source and has no owner yet. The body is accounted from the first call of
// Memory or Disk on.
func (b *Body) Receive(q *Quota, source io.Reader, connection Connection) {
	b.quota, b.source, b.connection = q, source, connection
}

// Read implements io.Reader. If the body was stopped, the error is the reason, such as [ErrTooSlow].
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	b.read.Add(int64(n))
	if err == io.EOF {
		b.atEnd = true
		return n, err
	}
	if err != nil {
		b.quota.mu.Lock()
		defer b.quota.mu.Unlock()
		if b.stopped != nil {
			err = b.stopped
		}
	}
	return n, err
}

// AtEnd reports whether the body was read to its end.
func (b *Body) AtEnd() bool { return b.atEnd }

// Begun reports whether any byte of the body was read.
func (b *Body) Begun() bool { return b.read.Load() > 0 }

// Memory sets the number of bytes that the body uses in memory. The error is [ErrBusy], [ErrKeyShare], or the reason why
// the body was stopped; the usage is unchanged then. After [Body.End] it does nothing.
func (b *Body) Memory(bytes int64) error {
	b.quota.mu.Lock()
	defer b.quota.mu.Unlock()
	b.begin()
	if !b.receiving {
		return nil
	}
	want := b.held
	want[small], want[large] = 0, bytes
	if bytes <= SmallBody {
		want[small], want[large] = bytes, 0
	}
	return b.quota.grant(b, b.owner, want)
}

// Disk sets the number of bytes that the body uses in a file. The errors are those of Memory.
func (b *Body) Disk(bytes int64) error {
	b.quota.mu.Lock()
	defer b.quota.mu.Unlock()
	b.begin()
	want := b.held
	want[slots], want[disk] = 1, bytes
	return b.quota.grant(b, b.owner, want)
}

// begin starts the accounting of the body.
func (b *Body) begin() {
	if b.begun.IsZero() {
		b.begun = time.Now()
		b.windowStart = b.begun
		b.receiving = true
		b.quota.received.add(b)
		b.quota.sweepSoon()
	}
}

// Own moves the body and its usage to the share of a key. The errors are those of Memory.
func (b *Body) Own(key string) error {
	q := b.quota
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.owner == key {
		return nil
	}
	return q.grant(b, key, b.held)
}

// End reports that the body is no longer read: its memory is no longer accounted, and it can no longer be evicted or be
// too slow. The error is the reason why it was stopped before. It may be called several times.
func (b *Body) End() error {
	q := b.quota
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	b.end()
	return b.stopped
}

func (b *Body) end() {
	q := b.quota
	if !b.receiving {
		return
	}
	q.received.remove(b)
	b.receiving = false
	want := b.held
	want[small], want[large] = 0, 0
	q.assign(b, b.owner, want)
}

// Free ends the body, if necessary, and frees its usage. It may be called several times, and after the end of the request.
func (b *Body) Free() {
	q := b.quota
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	b.end()
	q.assign(b, b.owner, usage{})
	b.evicted = false
}

// Stopped reports whether the body was stopped.
func (b *Body) Stopped() bool {
	if b.quota == nil {
		return false
	}
	b.quota.mu.Lock()
	defer b.quota.mu.Unlock()
	return b.stopped != nil
}
