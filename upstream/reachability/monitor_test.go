package reachability

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errRefused = errors.New("connection refused")

// upstream is an upstream that fails with an error, or responds.
type upstream struct {
	mu     sync.Mutex
	err    error
	checks int
}

func (u *upstream) check(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.checks++
	return u.err
}

func (u *upstream) set(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
}

func (u *upstream) wantChecks(t *testing.T, n int) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.checks != n {
		t.Errorf("%d checks, want %d", u.checks, n)
	}
}

func TestChecksAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		m := New(u.check, nil)
		for range 100 {
			if r := m.State(t.Context()); r.State != Responds || r.Err != nil {
				t.Fatalf("got %+v", r)
			}
		}
		u.wantChecks(t, 1)
		time.Sleep(fresh)
		m.State(t.Context())
		u.wantChecks(t, 2)
	})
}

func TestFailureAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{err: errRefused}
		m := New(u.check, nil)
		begun := time.Now()
		for range 3 {
			if r := m.State(t.Context()); r.State != Fails || !errors.Is(r.Err, errRefused) || !r.Since.Equal(begun) {
				t.Fatalf("got %+v, want a failure since %s", r, begun)
			}
			time.Sleep(fresh)
		}
		u.wantChecks(t, 3)
		u.set(nil)
		if r := m.State(t.Context()); r.State != Responds || !r.Since.IsZero() {
			t.Errorf("after the recovery: %+v", r)
		}
		time.Sleep(2 * fresh)
		u.set(errRefused)
		if r := m.State(t.Context()); !r.Since.Equal(time.Now()) {
			t.Errorf("the second failure began at %s, want %s", r.Since, time.Now())
		}
	})
}

// Responses to requests make checks unnecessary; a failed request makes one due, at most once a second.
func TestRequestsAreEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		m := New(u.check, nil)
		for range 10 {
			m.Responded()
			if r := m.State(t.Context()); r.State != Responds {
				t.Fatalf("got %+v", r)
			}
			time.Sleep(time.Second)
		}
		u.wantChecks(t, 0)
		m.Failed(errRefused) // of one request: the upstream responds to the check
		if r := m.State(t.Context()); r.State != Responds {
			t.Errorf("got %+v, although the check succeeds", r)
		}
		u.wantChecks(t, 1)
		u.set(errRefused)
		for range 20 {
			m.Failed(errRefused)
			m.State(t.Context())
			time.Sleep(retry / 10)
		}
		u.wantChecks(t, 2) // after a second; the next one is due after another
		if r := m.State(t.Context()); r.State != Fails {
			t.Errorf("got %+v", r)
		}
	})
}

// A check that does not end delays no caller for longer than its context, and there is only one.
func TestSlowCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		m := New(func(ctx context.Context) error {
			running.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}, nil)
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if r := m.State(ctx); r.State != Unknown {
					t.Errorf("got %+v before the first check has ended", r)
				}
			})
		}
		callers.Wait()
		begun := time.Now()
		if r := m.State(t.Context()); r.State != Fails {
			t.Errorf("got %+v", r)
		}
		if passed := time.Since(begun); passed != CheckTimeout-time.Second {
			t.Errorf("the check ended after another %s", passed)
		}
		if n := running.Load(); n != 1 {
			t.Errorf("%d checks, want one for all", n)
		}
	})
}

func TestWithoutCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(nil, nil)
		want := func(state State) {
			t.Helper()
			if r := m.State(t.Context()); r.State != state {
				t.Errorf("got %+v, want the state %d", r, state)
			}
		}
		want(Unknown)
		m.Responded()
		want(Responds)
		time.Sleep(step)
		m.Failed(errRefused)
		want(Fails)
		m.Responded() // within the resolution of responses
		want(Responds)
		m.Failed(errRefused)
		time.Sleep(2 * passive)
		want(Unknown)
	})
}
