package upstream

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// chunkSize is how much is read at once. A stream's pieces are some hundred bytes; an open stream holds one of these.
const chunkSize = 4 << 10

var bufPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// Copy reads src to its end and gives each piece to sink as it comes. If nothing comes for the idle time, stop is
// called with [ErrIdleTimeout], which must make reading fail: it is the cancel function of the context that src was got
// under. The error is nil at the regular end; sink's own error; the context's cause when it has ended; else [ErrTruncated].
func Copy(ctx context.Context, stop context.CancelCauseFunc, src io.Reader, idle time.Duration, sink func([]byte) error) error {
	buf := bufPool.Get().(*[chunkSize]byte)
	defer bufPool.Put(buf)
	watch := time.AfterFunc(idle, func() { stop(ErrIdleTimeout) })
	defer watch.Stop()
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			// The time for the client to take a piece is not the upstream's.
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
