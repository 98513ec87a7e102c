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

// ErrTooLarge is returned for a body over its limit.
var ErrTooLarge = errors.New("the body is too large")

// Sizes of buffers: most bodies fit into a small one, which may grow a bit and is kept as such; up to a large one is kept
// for the next request. Those in between have a pool for each size, with four sizes to a power of two, so that a small body
// never takes a large buffer: what it uses would not be what it asked for.
const (
	smallBuffer    = 8 << 10
	maxPooledSmall = 2 * smallBuffer
	largeBuffer    = 4 << 20

	leastShift = 12                // the first four sizes are multiples of 4 KiB
	sizes      = 4 * (22 - 12 - 2) // from above maxPooledSmall up to largeBuffer
)

var (
	smallBuffers = sync.Pool{New: func() any { return &Buffer{Bytes: make([]byte, 0, smallBuffer), pool: true} }}
	largeBuffers [sizes]sync.Pool
)

// bufferSize returns the size of the buffer for so many bytes, and its place in largeBuffers, which is below zero for a
// small one.
func bufferSize(bytes int) (size, place int) {
	if bytes <= smallBuffer {
		return smallBuffer, -1
	}
	bytes = max(bytes, maxPooledSmall+1) // a smaller one would be kept where it is not looked for
	shift := bits.Len(uint(bytes-1)) - 3
	steps := (bytes-1)>>shift + 1
	return steps << shift, 4*(shift-leastShift) + steps - 5
}

// Room that a body gets while it comes in. Its announced length costs a client nothing to write: with room for all of it at
// once, a thousand requests that send no byte of their bodies would take gigabytes.
const (
	initialCap   = 20<<10 - 512 // with a slack of 512 bytes it is a size of buffers
	growthFactor = 4            // times what has come
)

// Body is a request body that can be read several times, also at once.
type Body interface {
	// Len is the body's length in bytes.
	Len() int64
	// Open returns a new reader of the whole body. Closing it does not release the body.
	Open() io.ReadCloser
	// Release lets the body go. No reader may be in use then or afterwards.
	Release()
}

// Allowance bounds what a body uses while it is received. An error refuses what was asked for.
type Allowance interface {
	// Memory is asked for the bytes that the body may use in memory from now on.
	Memory(bytes int64) error
	// Disk is asked for the bytes that the body may use in a file from now on.
	Disk(bytes int64) error
	// Free tells that a spooled body uses nothing any more.
	Free()
}

// unlimited is an allowance that refuses nothing.
type unlimited struct{}

func (unlimited) Memory(int64) error { return nil }
func (unlimited) Disk(int64) error   { return nil }
func (unlimited) Free()              {}

// Buffer is a request body in memory that several readers may share. It goes back to its pool when its maker, and the
// last of the readers that hold it, have let it go.
type Buffer struct {
	Bytes []byte // its owner's to change until the first Reader is made

	refs atomic.Int32
	pool bool
}

var _ Body = (*Buffer)(nil)

// NewBuffer returns an empty buffer with room for size bytes. The caller must Release it once.
func NewBuffer(size int) *Buffer {
	var b *Buffer
	room, place := bufferSize(size)
	switch {
	case place < 0:
		b = smallBuffers.Get().(*Buffer)
	case place < sizes:
		if b, _ = largeBuffers[place].Get().(*Buffer); b == nil {
			b = &Buffer{Bytes: make([]byte, 0, room), pool: true}
		}
	default:
		b = &Buffer{Bytes: make([]byte, 0, size)}
	}
	b.Bytes = b.Bytes[:0]
	b.refs.Store(1)
	return b
}

// Release lets the buffer go. Its bytes must not be used afterwards.
func (b *Buffer) Release() {
	if b.refs.Add(-1) > 0 || !b.pool {
		return
	}
	room := cap(b.Bytes)
	if room <= maxPooledSmall {
		smallBuffers.Put(b)
		return
	}
	size, place := bufferSize(room)
	if size > room { // its owner has replaced its bytes
		place--
	}
	if place >= 0 && place < sizes {
		largeBuffers[place].Put(b)
	}
}

// Len implements Body.
func (b *Buffer) Len() int64 { return int64(len(b.Bytes)) }

// Open implements Body. The reader is of a type that net/http knows to be in memory, so that it writes the head and the
// body of a request at once.
func (b *Buffer) Open() io.ReadCloser { return io.NopCloser(bytes.NewReader(b.Bytes)) }

// Reader returns a new reader of the whole buffer, which holds it until it is closed.
func (b *Buffer) Reader() io.ReadCloser {
	b.refs.Add(1)
	return &refReadCloser{reader: bytes.NewReader(b.Bytes), release: b.Release}
}

// refReadCloser is a reader of something that is shared, which it lets go when it is closed, once. A connection may still be
// bodyRef a body when the answer is there and the body is closed: what is read then must not be the next request's.
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

// ReadBody reads a whole body of at most limit bytes into a buffer with slack bytes to spare. length is the announced
// length, or -1. allow is asked for the memory; nil allows all. The error is [ErrTooLarge], that of allow or what reading
// gave; the buffer is nil then.
func ReadBody(body io.Reader, length, limit int64, slack int, allow Allowance) (*Buffer, error) {
	if length > limit {
		return nil, ErrTooLarge
	}
	most := limit + 1 // so that the end is seen, and not only supposed
	room := int64(smallBuffer - slack)
	if length >= 0 {
		most = length + 1
		room = min(most, initialCap)
	}
	if allow == nil {
		allow = unlimited{}
	}
	if err := askFor(int(room)+slack, allow); err != nil {
		return nil, err
	}
	b := NewBuffer(int(room) + slack)
	for {
		if cap(b.Bytes)-len(b.Bytes) <= slack {
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

// askFor asks for the memory of a buffer for so many bytes.
func askFor(bytes int, allow Allowance) error {
	size, place := bufferSize(bytes)
	if place >= sizes {
		size = bytes
	}
	return allow.Memory(int64(size))
}

// room is how large the next buffer is, of which a body of most bytes is not given more than it needs.
func (b *Buffer) room(most int) int {
	room := growthFactor * cap(b.Bytes)
	if len(b.Bytes) < most {
		room = min(room, most)
	}
	return room
}

// grow returns a bigger buffer with the same bytes.
func (b *Buffer) grow(size int) *Buffer {
	bigger := NewBuffer(size)
	bigger.Bytes = append(bigger.Bytes, b.Bytes...)
	b.Release()
	return bigger
}
