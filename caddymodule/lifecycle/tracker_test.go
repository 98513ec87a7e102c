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

// bodyReader is a response writer that records whether the read deadline was set.
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
				t.Fatal("a request is rejected before the shutdown")
			}
		}
		if !k.BodyRead(sent, stop) {
			t.Fatal("a request is ended before the shutdown")
		}
		k.Remove(done)
		k.Remove(done)
		k.Begin(0, 20*time.Second)
		k.Begin(0, time.Second) // only the first one has an effect
		if late, _ := newTracked(); k.add(late) {
			t.Error("a request is accepted during the shutdown")
		}
		<-ctx.Done()
		if took := time.Since(begun); took != 20*time.Second || !errors.Is(context.Cause(ctx), ErrShuttingDown) {
			t.Errorf("after %v: %v", took, context.Cause(ctx))
		}
		synctest.Wait()
		if !body.ended || k.BodyRead(reading, stop) || !errors.Is(k.Cause(reading), ErrShuttingDown) || !reading.w.final.Load() {
			t.Error("the read deadline is not set")
		}
		if doneBody.ended {
			t.Error("the writer of a completed request is used")
		}
		k.Remove(reading)
		k.Remove(sent)
		time.Sleep(time.Minute) // the timers stop automatically
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.first != nil || k.timer != nil {
			t.Error("requests remain in the tracker")
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
			t.Error("a request is accepted after shutdown_delay")
		}
		time.Sleep(18 * time.Second)
		if k.Cause(early) != nil {
			t.Error("the request is ended within the grace period")
		}
		time.Sleep(2 * time.Second)
		if k.Cause(early) == nil {
			t.Error("the request is not ended after the grace period")
		}
		k.Remove(early)
	})
}

// Requests of an old configuration continue if the new one has no gate. Then there is no event when the process exits.
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
			t.Fatal("the request ended without a shutdown")
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
			t.Error("a request is accepted during the shutdown")
		}
		exiting.Store(false)
		k.resume(time.Second)
		c, _ := newTracked()
		if !k.add(c) {
			t.Error("a request is rejected")
		}
		time.Sleep(time.Hour)
		if k.Cause(c) != nil {
			t.Error("the request is ended")
		}
		k.Remove(c)
	})
}
