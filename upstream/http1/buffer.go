package http1

import "sync"

// Sizes of buffers in bytes. A header of a response that does not fit into one buffer gets a larger one, which is not pooled.
const (
	bufferSize = 4 << 10
	chunkSize  = 32 << 10 // for request bodies that are not in memory
)

// buffer is used for the head of a request with a small body, and then for bytes of the response.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, bufferSize)} }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

// release returns the buffer to its pool. b may be nil.
func (b *buffer) release() {
	if b != nil && len(b.bytes) == bufferSize {
		buffers.Put(b)
	}
}

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}
