package lifecycle

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bodyReader is a response writer that knows whether reading the body was ended.
type bodyReader struct {
	http.ResponseWriter
	ended bool
}

func (b *bodyReader) SetReadDeadline(time.Time) error {
	b.ended = true
	return nil
}

func newTracked() (*Request, *bodyReader) {
	body := &bodyReader{ResponseWriter: httptest.NewRecorder()}
	return &Request{w: &ClientWriter{ResponseWriter: body}}, body
}

func newTracker(exiting *atomic.Bool) *Tracker {
	return &Tracker{exiting: exiting.Load, grace: DefaultShutdownGrace}
}

func TestShutdownPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exiting atomic.Bool
		exiting.Store(true)
		k := newTracker(&exiting)
		begun := time.Now()
		reading, body := newTracked()
		sent, _ := newTracked()
		done, doneBody := newTracked()
		ctx, stop := context.WithCancelCause(t.Context())
		for _, c := range []*Request{reading, sent, done} {
			if !k.add(c) {
				t.Fatal("a request is rejected while all is well")
			}
		}
		if !k.BodyRead(sent, stop) {
			t.Fatal("a request is ended while all is well")
		}
		k.Remove(done)
		k.Remove(done)
		k.Begin(0, 20*time.Second)
		k.Begin(0, time.Second) // the first counts
		if late, _ := newTracked(); k.add(late) {
			t.Error("a request is taken while the process ends")
		}
		<-ctx.Done()
		if took := time.Since(begun); took != 20*time.Second || !errors.Is(context.Cause(ctx), ErrShuttingDown) {
			t.Errorf("after %v: %v", took, context.Cause(ctx))
		}
		synctest.Wait()
		if !body.ended || k.BodyRead(reading, stop) || !errors.Is(k.Cause(reading), ErrShuttingDown) || !reading.w.final.Load() {
			t.Error("a body is still read")
		}
		if doneBody.ended {
			t.Error("the writer of a request that is done is used")
		}
		k.Remove(reading)
		k.Remove(sent)
		time.Sleep(time.Minute) // all timers end by themselves
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.first != nil || k.timer != nil {
			t.Error("something is still watched")
		}
	})
}

func TestRequestsAcceptedDuringShutdownDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exiting atomic.Bool
		exiting.Store(true)
		k := newTracker(&exiting)
		k.Begin(10*time.Second, 20*time.Second)
		time.Sleep(9 * time.Second)
		early, _ := newTracked()
		if !k.add(early) {
			t.Error("a request is rejected within shutdown_delay")
		}
		time.Sleep(2 * time.Second)
		if late, _ := newTracked(); k.add(late) {
			t.Error("a request is taken after shutdown_delay")
		}
		time.Sleep(18 * time.Second)
		if k.Cause(early) != nil {
			t.Error("it is ended within the grace period")
		}
		time.Sleep(2 * time.Second)
		if k.Cause(early) == nil {
			t.Error("it is not ended after the grace period")
		}
		k.Remove(early)
	})
}

// Requests of an old configuration go on when the new one has no gate; then no event tells of the end.
func TestShutdownDetectedWithoutEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exiting atomic.Bool
		k := newTracker(&exiting)
		old, _ := newTracked()
		ctx, stop := context.WithCancelCause(t.Context())
		k.add(old)
		k.BodyRead(old, stop)
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Fatal("it ended by itself")
		}
		exiting.Store(true)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), ErrShuttingDown) {
			t.Error(context.Cause(ctx))
		}
		k.Remove(old)
	})
}

func TestShutdownCanceledByNewConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exiting atomic.Bool
		exiting.Store(true)
		k := newTracker(&exiting)
		k.Begin(0, time.Second)
		k.resume(time.Second)
		if c, _ := newTracked(); k.add(c) {
			t.Error("the process exits, and a request is taken")
		}
		exiting.Store(false)
		k.resume(time.Second)
		c, _ := newTracked()
		if !k.add(c) {
			t.Error("a request is rejected")
		}
		time.Sleep(time.Hour)
		if k.Cause(c) != nil {
			t.Error("it is ended")
		}
		k.Remove(c)
	})
}
