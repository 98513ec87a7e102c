package http1

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// ChunkReader is implemented by the bodies of responses.
type ChunkReader interface {
	// ReadChunk returns the bytes that have arrived, without copying them, and waits for them up to a timeout; zero means
	// forever. They are valid until the next call of any method of the body. The error is io.EOF at the end,
	// [io.ErrUnexpectedEOF] for a truncated body, or one that matches os.ErrDeadlineExceeded; it is final. It does not say that
	// the context has ended.
	ReadChunk(timeout time.Duration) ([]byte, error)
	// TryReadChunk is ReadChunk without waiting. It returns nil and no error if nothing has arrived, or if it cannot find that out.
	TryReadChunk() ([]byte, error)
}

// body is the body of a response. It is not safe for concurrent use.
type body struct {
	conn     *conn // nil: finished
	client   *Client
	stop     func() bool  // ends the care for the context
	upload   <-chan error // nil: the request is complete
	reusable bool         // the connection, after the end of the body

	chunked    bool
	untilClose bool  // the end of the connection is the end of the body
	left       int64 // bytes of the body, or of the current chunk
	chunks     chunkState
	ended      bool // all bytes were consumed

	chunk []byte // was read, but not returned by Read
	err   error  // sticky
}

// ReadChunk implements ChunkReader.
func (b *body) ReadChunk(timeout time.Duration) ([]byte, error) {
	var until time.Time
	return b.read(func() (bool, error) {
		if timeout > 0 && until.IsZero() {
			until = time.Now().Add(timeout)
		}
		err := b.conn.fill(until)
		return err == nil, err
	})
}

// TryReadChunk implements ChunkReader.
func (b *body) TryReadChunk() ([]byte, error) {
	return b.read(func() (bool, error) { return b.conn.tryFill() })
}

// read returns the bytes that have arrived. If there are none, it calls receive, and returns nil if that has received nothing.
func (b *body) read(receive func() (received bool, err error)) ([]byte, error) {
	if b.chunk != nil {
		p := b.chunk
		b.chunk = nil
		return p, nil
	}
	for b.err == nil {
		p, err := b.take()
		switch {
		case err != nil:
			b.fail(err)
			continue
		case len(p) > 0:
			return p, nil
		case b.ended:
			b.err = io.EOF
			b.finish()
			continue
		}
		received, err := receive()
		switch {
		case err == nil && !received:
			return nil, nil
		case err == nil:
		case errors.Is(err, io.EOF) && b.untilClose:
			b.ended = true
		case errors.Is(err, io.EOF):
			b.fail(io.ErrUnexpectedEOF)
		default:
			b.fail(err)
		}
	}
	return nil, b.err
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	chunk, err := b.ReadChunk(0)
	if err != nil {
		return 0, err
	}
	n := copy(p, chunk)
	if n < len(chunk) {
		b.chunk = chunk[n:]
	}
	return n, nil
}

// Close closes the connection unless the body was read to its end. A later Read fails.
func (b *body) Close() error {
	b.chunk = nil
	if b.err == nil || errors.Is(b.err, io.EOF) {
		b.err = http.ErrBodyReadAfterClose
	}
	b.reusable = b.reusable && b.ended
	b.finish()
	return nil
}

// take consumes received bytes and returns those of the body, if any.
func (b *body) take() ([]byte, error) {
	switch {
	case b.ended:
		return nil, nil
	case b.chunked:
		return b.takeChunks()
	}
	p := b.conn.buffered()
	if !b.untilClose {
		p = p[:min(int64(len(p)), b.left)]
		b.left -= int64(len(p))
		b.ended = b.left == 0
	}
	b.conn.start += len(p)
	return p, nil
}

// fail ends the body with an error.
func (b *body) fail(err error) {
	b.err, b.reusable = err, false
	b.finish()
}

// finish returns the connection to the pool, or closes it. It may be called several times.
func (b *body) finish() {
	c := b.conn
	if c == nil {
		return
	}
	b.conn = nil
	reusable := b.reusable && len(c.buffered()) == 0
	if b.upload != nil {
		select {
		case err := <-b.upload:
			reusable = reusable && err == nil
		default:
			reusable = false
		}
	}
	// The connection is closed if the context has ended.
	if reusable = b.stop() && reusable; !reusable {
		c.close()
		return
	}
	c.releaseBuffer()
	b.client.pool.put(c)
}
