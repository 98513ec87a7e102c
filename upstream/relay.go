package upstream

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/docsgate/docsgate/upstream/http1"
)

// chunkSize is the read buffer of a stream, in bytes. Chunks of a stream have some hundred bytes.
const chunkSize = 4 << 10

var bufPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// Sink receives a response.
type Sink interface {
	// WriteChunk handles a chunk. It does not keep it.
	WriteChunk(p []byte) error
	// Delays reports whether it has delayed something, to send it together with the next chunk. It is called only if [KnowsArrival].
	Delays() bool
	// Flush sends what is delayed.
	Flush()
}

// SinkFunc is a sink that delays nothing.
type SinkFunc func(p []byte) error

// WriteChunk implements Sink.
func (f SinkFunc) WriteChunk(p []byte) error { return f(p) }

// Delays implements Sink.
func (f SinkFunc) Delays() bool { return false }

// Flush implements Sink.
func (f SinkFunc) Flush() {}

// KnowsArrival reports whether Copy knows if more of a response has arrived, so that it calls Delays and Flush of the sink.
func KnowsArrival(src io.Reader) bool {
	_, ok := src.(http1.ChunkReader)
	return ok
}

// Copy reads src to its end and passes each chunk to sink as it arrives. Before it waits for a chunk, it flushes what the sink delays. If
// nothing arrives for the idle time, it calls stop with [ErrIdleTimeout]. stop must make reading fail: it is the cancel function of the
// context of the request that src belongs to. Copy returns nil at the regular end, the error of sink, the cause of ctx if it has ended, or
// [ErrTruncated] with its cause.
func Copy(ctx context.Context, stop context.CancelCauseFunc, src io.Reader, idle time.Duration, sink Sink) error {
	if r, ok := src.(http1.ChunkReader); ok {
		return copyChunks(ctx, stop, r, idle, sink)
	}
	buf := bufPool.Get().(*[chunkSize]byte)
	defer bufPool.Put(buf)
	watch := time.AfterFunc(idle, func() { stop(ErrIdleTimeout) })
	defer watch.Stop()
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			// The time that the client takes to receive a chunk is not idle time of the upstream.
			watch.Stop()
			if err := sink.WriteChunk(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
			watch.Reset(idle)
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return &Error{ErrTruncated, err}
		}
	}
}

// copyChunks is Copy without a buffer and a timer.
func copyChunks(ctx context.Context, stop context.CancelCauseFunc, src http1.ChunkReader, idle time.Duration, sink Sink) error {
	for {
		p, err := readChunk(src, idle, sink)
		switch {
		case err == nil:
			if err := sink.WriteChunk(p); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, os.ErrDeadlineExceeded):
			stop(ErrIdleTimeout)
			return context.Cause(ctx)
		default:
			return &Error{ErrTruncated, err}
		}
	}
}

// readChunk reads the next chunk. It flushes what the sink delays before it waits.
func readChunk(src http1.ChunkReader, idle time.Duration, sink Sink) ([]byte, error) {
	if sink.Delays() {
		for range 2 {
			if p, err := src.TryReadChunk(); p != nil || err != nil {
				return p, err
			}
			runtime.Gosched() // servers send the first event right after the header, and the end right after the last event
		}
		sink.Flush()
	}
	return src.ReadChunk(idle)
}
