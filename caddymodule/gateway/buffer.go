package gateway

import "sync"

// buffer is memory for something that is written to a client: the events that a chunk completes, or an error response. It is released
// after the write, so that an open stream that waits for its next event has none.
type buffer struct{ bytes []byte }

// Sizes of buffers, in bytes. Those that have grown above the maximum are not reused.
const (
	bufferSize    = 4 << 10
	maxBufferSize = 64 << 10
)

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, bufferSize)} }}

// takeBuffer returns an empty buffer.
func takeBuffer() *buffer { return buffers.Get().(*buffer) }

// release makes the buffer available again. written is what was appended to it, which must not be used afterwards.
func (b *buffer) release(written []byte) {
	if cap(written) <= maxBufferSize {
		b.bytes = written[:0]
		buffers.Put(b)
	}
}
