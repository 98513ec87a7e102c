package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// stream posts a question and relays the response, as the gate does.
func stream(ctx context.Context, u *Upstream, sink func([]byte) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	resp, err := postUnder(ctx, stop, u, []byte("{}"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return Copy(ctx, stop, resp.Body, u.IdleTimeout(), SinkFunc(sink))
}

func TestStreamArrivesInChunks(t *testing.T) {
	next := make(chan struct{})
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	i := 0
	err := stream(t.Context(), u, func(piece []byte) error {
		if want := fmt.Sprintf("data: %d\n\n", i); string(piece) != want {
			t.Errorf("got %q, want %q", piece, want)
		}
		i++
		next <- struct{}{} // now the server sends the next chunk
		return nil
	})
	if err != nil || i != 5 {
		t.Errorf("%d pieces, %v", i, err)
	}
}

func TestStreamIdleTimeout(t *testing.T) {
	closed := make(chan struct{})
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(closed)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(c *Config) { c.IdleTimeout = 50 * time.Millisecond })
	if err := stream(t.Context(), u, func([]byte) error { return nil }); !errors.Is(err, ErrIdleTimeout) {
		t.Errorf("got %v", err)
	}
	<-closed // the upstream notices the cancellation
}

func TestStreamCanceled(t *testing.T) {
	errGone := errors.New("the client is gone")
	for name, how := range map[string]func(stop context.CancelCauseFunc) error{
		"its context ends":      func(stop context.CancelCauseFunc) error { stop(errGone); return nil },
		"it takes no more":      func(context.CancelCauseFunc) error { return errGone },
		"both at the same time": func(stop context.CancelCauseFunc) error { stop(errGone); return errGone },
	} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan struct{})
			u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(closed)
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "data: 1\n\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			if err := stream(ctx, u, func([]byte) error { return how(stop) }); !errors.Is(err, errGone) {
				t.Errorf("got %v", err)
			}
			<-closed // the upstream notices the cancellation
		})
	}
}

func TestStreamTruncated(t *testing.T) {
	for name, start := range map[string]string{
		"chunked, between chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n",
		"chunked, in a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\ntext",
		"with a length":           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntext",
	} {
		t.Run(name, func(t *testing.T) {
			address := raw(t, func(_ int, c net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, start)
			})
			var got string
			err := stream(t.Context(), connect(t, address), func(piece []byte) error {
				got += string(piece)
				return nil
			})
			if !errors.Is(err, ErrTruncated) || got != "text" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
