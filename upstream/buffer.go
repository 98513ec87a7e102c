package upstream

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"
)

// ErrTooLarge is returned for a body above its limit.
var ErrTooLarge = errors.New("the body is too large")

// Sizes of pooled buffers. Most bodies fit into a small buffer. Above that there is a pool for each size up to largeBuffer,
// with four sizes per power of two: a body must not get a buffer that is much larger than the memory that it has asked its
// [Allowance] for.
const (
	smallBuffer = 8 << 10
	largeBuffer = 4 << 20

	leastShift = 11                // the first four sizes are multiples of 2 KiB
	sizes      = 4 * (22 - 11 - 2) // from above smallBuffer up to largeBuffer
)

var (
	smallBuffers = sync.Pool{New: func() any { return newBuffer(smallBuffer, true) }}
	largeBuffers [sizes]sync.Pool
)

// bufferSize returns the size of the buffer for that number of bytes, and its index in largeBuffers, which is negative for
// a small buffer.
func bufferSize(bytes int) (size, place int) {
	if bytes <= smallBuffer {
		return smallBuffer, -1
	}
	shift := bits.Len(uint(bytes-1)) - 3
	steps := (bytes-1)>>shift + 1
	return steps << shift, 4*(shift-leastShift) + steps - 5
}

// Growth of the buffer of a body that is being received. Announcing a length costs a client nothing: if all of it were
// allocated immediately, a thousand requests without any bytes of a body would use gigabytes.
const (
	initialCap   = 20<<10 - 512 // after the first byte; plus a slack of 512 bytes, it is a pooled size
	growthFactor = 4            // times the bytes received; twice that if all of the body fits into it
)

// Body is a request body that can be read several times, also concurrently.
type Body interface {
	// Len is the body's length in bytes.
	Len() int64
	// View returns the whole body if it is in memory, and otherwise nil. It must not be modified.
	View() []byte
	// Open returns a new reader of the whole body. Closing it does not release the body.
	Open() io.ReadCloser
	// Release frees the body. No reader may be in use then or be opened afterwards.
	Release()
}

// Allowance bounds what a body uses while it is received. An error denies the request.
type Allowance interface {
	// Memory requests the total number of bytes that the body may use in memory.
	Memory(bytes int64) error
	// Disk requests the total number of bytes that the body may use in a file.
	Disk(bytes int64) error
	// Free reports that a spooled body no longer uses anything.
	Free()
}

// unlimited is an allowance that denies nothing.
type unlimited struct{}

func (unlimited) Memory(int64) error { return nil }
func (unlimited) Disk(int64) error   { return nil }
func (unlimited) Free()              {}

// Buffer is a request body in memory that several readers may share. It returns to its pool when its creator has released
// it and all readers are closed.
type Buffer struct {
	Bytes []byte // may be changed and replaced by the creator until the first reader is opened

	memory []byte // empty; Bytes begins there, unless the creator has replaced it
	refs   atomic.Int32
	pool   bool
}

var _ Body = (*Buffer)(nil)

func newBuffer(size int, pool bool) *Buffer {
	return &Buffer{memory: make([]byte, 0, size), pool: pool}
}

// NewBuffer returns an empty buffer with a capacity of at least size bytes. The caller must call Release once.
func NewBuffer(size int) *Buffer {
	var b *Buffer
	room, place := bufferSize(size)
	switch {
	case place < 0:
		b = smallBuffers.Get().(*Buffer)
	case place < sizes:
		if b, _ = largeBuffers[place].Get().(*Buffer); b == nil {
			b = newBuffer(room, true)
		}
	default:
		b = newBuffer(size, false)
	}
	b.Bytes = b.memory
	b.refs.Store(1)
	return b
}

// Release releases the creator's reference. The bytes must not be used afterwards.
func (b *Buffer) Release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	b.Bytes = nil // in the pool, another request uses the memory
	if !b.pool {
		return
	}
	if _, place := bufferSize(cap(b.memory)); place >= 0 {
		largeBuffers[place].Put(b)
		return
	}
	smallBuffers.Put(b)
}

// Len implements Body.
func (b *Buffer) Len() int64 { return int64(len(b.Bytes)) }

// View implements Body.
func (b *Buffer) View() []byte { return b.Bytes }

// Open implements Body. The reader has a type that net/http knows to be in memory, so that it writes the header and the
// body of a request together.
func (b *Buffer) Open() io.ReadCloser { return io.NopCloser(bytes.NewReader(b.Bytes)) }

// Reader returns a new reader of the whole buffer, which keeps the buffer until it is closed.
func (b *Buffer) Reader() io.ReadCloser {
	b.refs.Add(1)
	return &refReadCloser{reader: bytes.NewReader(b.Bytes), release: b.Release}
}

// refReadCloser is a reader of a shared buffer, which it releases once, when it is closed. A connection may still be
// sending the body when the response has arrived and the body is closed: it must not read the bytes of the next request.
type refReadCloser struct {
	mu      sync.Mutex
	reader  io.Reader // nil: closed
	release func()
}

func (r *refReadCloser) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reader == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return r.reader.Read(p)
}

func (r *refReadCloser) Close() error {
	r.mu.Lock()
	open := r.reader != nil
	r.reader = nil
	r.mu.Unlock()
	if open {
		r.release()
	}
	return nil
}

// ReadBody reads a whole body of at most limit bytes into a buffer with slack bytes of spare capacity. length is the
// announced length, or -1. It requests the memory from allow; nil allows everything. The error is [ErrTooLarge], the error
// of allow or a read error; the buffer is nil then.
func ReadBody(body io.Reader, length, limit int64, slack int, allow Allowance) (*Buffer, error) {
	if length > limit {
		return nil, ErrTooLarge
	}
	most := limit + 1 // one more, to read up to io.EOF
	room := int64(smallBuffer - slack)
	if length >= 0 {
		most = length + 1
		room = min(most, room)
	}
	if allow == nil {
		allow = unlimited{}
	}
	if err := askFor(int(room)+slack, allow); err != nil {
		return nil, err
	}
	b := NewBuffer(int(room) + slack)
	early := length >= 0 && most > room // grow after the first read, which returns only what has arrived with the header
	for {
		if cap(b.Bytes)-len(b.Bytes) <= slack || early && len(b.Bytes) > 0 {
			early = false
			room := b.room(int(most)) + slack
			if err := askFor(room, allow); err != nil {
				b.Release()
				return nil, err
			}
			b = b.grow(room)
		}
		n, err := body.Read(b.Bytes[len(b.Bytes) : cap(b.Bytes)-slack])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		switch {
		case int64(len(b.Bytes)) > limit:
			b.Release()
			return nil, ErrTooLarge
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			b.Release()
			return nil, err
		}
	}
}

// askFor requests the memory of a buffer for that number of bytes.
func askFor(bytes int, allow Allowance) error {
	size, place := bufferSize(bytes)
	if place >= sizes {
		size = bytes
	}
	return allow.Memory(int64(size))
}

// room returns the size of the next buffer. It does not exceed the need of a body of most bytes.
func (b *Buffer) room(most int) int {
	room := max(growthFactor*len(b.Bytes), initialCap)
	if len(b.Bytes) < most && 2*room >= most {
		room = most
	}
	return room
}

// grow returns a larger buffer with the same bytes.
func (b *Buffer) grow(size int) *Buffer {
	bigger := NewBuffer(size)
	bigger.Bytes = append(bigger.Bytes, b.Bytes...)
	b.Release()
	return bigger
}
