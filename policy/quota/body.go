package quota

import (
	"io"
	"sync/atomic"
	"time"
)

// Connection is where a body comes from.
type Connection interface {
	// InterruptRead makes a read of the body that is under way, and all further ones, fail. It is called with the
	// quota locked, and never after [Body.End]. An error means that reads cannot be interrupted.
	InterruptRead() error
}

// Body is one request body and what it uses. The zero value uses nothing. Its methods are for one goroutine at a time;
// after Reader, [Body.End] and [Body.Free] must be called.
type Body struct {
	quota      *Quota
	source     io.Reader
	connection Connection
	read       atomic.Int64 // bytes
	atEnd      bool

	// Guarded by the quota's mutex.
	previous, next *Body // in Quota.received
	receiving      bool  // it is in that list
	owner          string
	held           usage
	stopped        error     // why it is not received to its end
	leaving        bool      // it was evicted, and frees what it holds at once
	begun          time.Time // the first read
	mark           time.Time // begin of the current window
	markRead       int64     // bytes up to then
	swept          time.Time // the last sweep
	sweptRead      int64     // bytes up to then
	rate           float64   // bytes per second in the last seconds; not known before the first sweep
}

// Receive prepares a body that is read from source and not owned by a key. It is counted from the first call of Memory
// or Disk on.
func (b *Body) Receive(q *Quota, source io.Reader, connection Connection) {
	b.quota, b.source, b.connection = q, source, connection
}

// Read implements io.Reader. Where the body was stopped, the error is the reason, such as [ErrTooSlow].
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

// Begun reports whether any of the body was read.
func (b *Body) Begun() bool { return b.read.Load() > 0 }

// Memory sets how many bytes the body uses in memory. The error is [ErrBusy], [ErrKeyShare], or why the body was
// stopped; nothing is changed then. After [Body.End] it does nothing.
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

// Disk sets how many bytes the body uses in a file. The errors are those of Memory.
func (b *Body) Disk(bytes int64) error {
	b.quota.mu.Lock()
	defer b.quota.mu.Unlock()
	b.begin()
	want := b.held
	want[slots], want[disk] = 1, bytes
	return b.quota.grant(b, b.owner, want)
}

// begin counts the body from now on.
func (b *Body) begin() {
	if b.begun.IsZero() {
		b.begun = time.Now()
		b.mark = b.begun
		b.receiving = true
		b.quota.received.add(b)
		b.quota.sweepSoon()
	}
}

// Own moves the body, and all that it uses, to a key's share. The errors are those of Memory.
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

// End tells that the body is not read any more: its memory is not counted from now on, and it is neither evicted nor
// too slow. The error is why it was stopped before. It may be called several times.
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

// Free ends the body, if it has not ended yet, and frees all that it uses. It may be called several times, and after
// the request is over.
func (b *Body) Free() {
	q := b.quota
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	b.end()
	q.assign(b, b.owner, usage{})
	b.leaving = false
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
