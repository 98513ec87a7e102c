package upstream

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/docsgate/docsgate/upstream/http1"
)

// chunkSize is the read buffer of a stream, in bytes. Chunks of a stream have some hundred bytes.
const chunkSize = 4 << 10

var bufPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// Copy reads src to its end and passes each chunk to sink as it arrives. If nothing arrives for the idle time, it calls
// stop with [ErrIdleTimeout]. stop must make reading fail: it is the cancel function of the context of the request that
// src belongs to. Copy returns nil at the regular end, the error of sink, the cause of ctx if it has ended, or
// [ErrTruncated] with its cause.
func Copy(ctx context.Context, stop context.CancelCauseFunc, src io.Reader, idle time.Duration, sink func([]byte) error) error {
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
			if err := sink(buf[:n]); err != nil {
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
func copyChunks(ctx context.Context, stop context.CancelCauseFunc, src http1.ChunkReader, idle time.Duration, sink func([]byte) error) error {
	for {
		p, err := src.ReadChunk(idle)
		switch {
		case err == nil:
			if err := sink(p); err != nil {
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
