package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// delayingSink delays each chunk until it is flushed.
type delayingSink struct {
	delayed []byte
	events  chan string // chunks, and "flush" with what was delayed
}

func (s *delayingSink) WriteChunk(p []byte) error {
	s.delayed = append(s.delayed, p...)
	s.events <- "chunk " + string(p)
	return nil
}

func (s *delayingSink) Delays() bool { return len(s.delayed) > 0 }

func (s *delayingSink) Flush() {
	s.events <- "flush " + string(s.delayed)
	s.delayed = nil
}

// What a sink delays is flushed before Copy waits, and not if more has arrived.
func TestCopyFlushesBeforeItWaits(t *testing.T) {
	next := make(chan struct{})
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, text := range []string{"first", "second"} {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
		_, _ = io.WriteString(w, "last")
	})
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	resp, err := postUnder(ctx, stop, u, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if !KnowsArrival(resp.Body) {
		t.Fatal("it is not known when something arrives")
	}
	sink, done := &delayingSink{events: make(chan string, 10)}, make(chan error, 1)
	go func() { done <- Copy(ctx, stop, resp.Body, time.Minute, sink) }()
	for _, want := range []string{"chunk first", "flush first", "chunk second", "flush second"} {
		if got := <-sink.events; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if want == "flush first" || want == "flush second" {
			next <- struct{}{}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// The end follows the last chunk, in the same packet or another one.
	if got := <-sink.events; got != "chunk last" {
		t.Errorf("got %q at the end", got)
	}
}

// A source that does not tell what has arrived is only read.
func TestCopyWithoutArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, "first")
			time.Sleep(time.Second)
			w.Close()
		}()
		sink := &delayingSink{events: make(chan string, 10)}
		if KnowsArrival(r) {
			t.Error("a pipe tells what has arrived")
		}
		if err := Copy(t.Context(), func(error) {}, r, time.Minute, sink); err != nil || !sink.Delays() {
			t.Errorf("error %v, delayed %q", err, sink.delayed)
		}
	})
}

// The idle time counts after a flush, too.
func TestCopyIdleAfterFlush(t *testing.T) {
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	resp, err := postUnder(ctx, stop, u, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sink := &delayingSink{events: make(chan string, 10)}
	if err := Copy(ctx, stop, resp.Body, 50*time.Millisecond, sink); !errors.Is(err, ErrIdleTimeout) || sink.Delays() {
		t.Errorf("error %v, delayed %q", err, sink.delayed)
	}
}
