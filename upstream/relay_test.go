package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// source returns a pipe whose reads fail when the context ends, like the body of a response.
func source(ctx context.Context) (*io.PipeReader, *io.PipeWriter) {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { r.CloseWithError(context.Cause(ctx)) })
	return r, w
}

func TestCopyPassesChunksImmediately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		src, upstream := source(ctx)
		got := make(chan string)
		done := make(chan error)
		go func() {
			done <- Copy(ctx, stop, src, time.Minute, SinkFunc(func(piece []byte) error {
				got <- string(piece)
				return nil
			}))
		}()
		for _, piece := range []string{"one", "two", "three"} {
			if _, err := io.WriteString(upstream, piece); err != nil {
				t.Fatal(err)
			}
			// The next chunk is sent only after this one has arrived.
			if have := <-got; have != piece {
				t.Errorf("got %q, want %q", have, piece)
			}
		}
		upstream.Close()
		if err := <-done; err != nil {
			t.Errorf("at the regular end: %v", err)
		}
	})
}

func TestCopyPassesAllBytes(t *testing.T) {
	want := text(3*chunkSize + 17)
	for name, src := range map[string]io.Reader{
		"large pieces":            bytes.NewReader(want),
		"single bytes":            iotest.OneByteReader(bytes.NewReader(want)),
		"the end with the data":   iotest.DataErrReader(bytes.NewReader(want)),
		"reads that give nothing": &stutterReader{Reader: bytes.NewReader(want)},
	} {
		t.Run(name, func(t *testing.T) {
			var got []byte
			err := Copy(t.Context(), func(error) {}, src, time.Minute, SinkFunc(func(piece []byte) error {
				got = append(got, piece...)
				return nil
			}))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
			}
		})
	}
}

// stutterReader returns 0 bytes and no error on every other read.
type stutterReader struct {
	io.Reader
	odd bool
}

func (s *stutterReader) Read(b []byte) (int, error) {
	if s.odd = !s.odd; s.odd {
		return 0, nil
	}
	return s.Reader.Read(b)
}

func TestCopyIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		src, upstream := source(ctx)
		go func() { _, _ = io.WriteString(upstream, "a beginning") }()
		begun := time.Now()
		pieces := 0
		err := Copy(ctx, stop, src, time.Minute, SinkFunc(func([]byte) error { pieces++; return nil }))
		if !errors.Is(err, ErrIdleTimeout) || pieces != 1 {
			t.Errorf("got %v after %d pieces", err, pieces)
		}
		if !errors.Is(context.Cause(ctx), ErrIdleTimeout) {
			t.Errorf("the context ended with %v", context.Cause(ctx))
		}
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("after %v, want a minute", took)
		}
	})
}

func TestCopyIdleTimeExcludesSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		src, upstream := source(ctx)
		go func() {
			for range 20 {
				time.Sleep(59 * time.Second)
				_, _ = io.WriteString(upstream, "piece")
			}
			upstream.Close()
		}()
		err := Copy(ctx, stop, src, time.Minute, SinkFunc(func([]byte) error {
			time.Sleep(time.Hour) // a client that is slow to take it
			return nil
		}))
		if err != nil {
			t.Errorf("a slow client or a slow but lively upstream ends it: %v", err)
		}
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Errorf("the context is ended after the regular end: %v", context.Cause(ctx))
		}
	})
}

func TestCopyErrors(t *testing.T) {
	errClient, errGone := errors.New("the client does not take it"), errors.New("the client is gone")
	for name, c := range map[string]struct {
		end  error // of reading
		sink error
		gone bool // the context has ended
		want error
	}{
		"regular end":               {end: io.EOF},
		"broken off":                {end: io.ErrUnexpectedEOF, want: ErrTruncated},
		"another error":             {end: errors.New("reset"), want: ErrTruncated},
		"the client takes no more":  {end: io.EOF, sink: errClient, want: errClient},
		"client gone while reading": {end: context.Canceled, gone: true, want: errGone},
		"sink before all else":      {end: io.ErrUnexpectedEOF, sink: errClient, gone: true, want: errClient},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			if c.gone {
				stop(errGone)
			}
			var got strings.Builder
			src := io.MultiReader(strings.NewReader("text"), iotest.ErrReader(c.end))
			err := Copy(ctx, stop, src, time.Minute, SinkFunc(func(piece []byte) error {
				got.Write(piece)
				return c.sink
			}))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if errors.Is(c.want, ErrTruncated) && !errors.Is(err, c.end) {
				t.Errorf("%v does not hold its cause", err)
			}
			if got.String() != "text" {
				t.Errorf("the sink got %q before the end", got.String())
			}
		})
	}
}
