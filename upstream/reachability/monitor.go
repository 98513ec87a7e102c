// Package reachability says whether an upstream responds: by the responses to forwarded requests, and by checks while there are none.
package reachability

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// CheckTimeout is how long a check waits for the upstream.
	CheckTimeout = 2 * time.Second

	// fresh is how long a response, or the result of a check, is valid.
	fresh = 5 * time.Second
	// retry is the shortest time between two checks, also if requests fail in between.
	retry = time.Second
	// passive is how long the result of a request is valid if the upstream cannot be checked.
	passive = time.Minute
	// step is the resolution of the time of responses, so that most of them write nothing.
	step = time.Second
)

// State says whether an upstream responds.
type State uint8

// States of an upstream.
const (
	Unknown State = iota // it was not asked lately, and cannot be checked
	Responds
	Fails
)

// Result is what is known about an upstream.
type Result struct {
	State State
	Err   error     // why it does not respond; nil: it does, or it is unknown
	Since time.Time // of the first failure since it has responded; zero: it responds, or it is unknown
}

// Monitor knows whether one upstream responds. It is safe for concurrent use. Create one with New.
type Monitor struct {
	check func(ctx context.Context) error // nil: the upstream cannot be checked
	now   func() time.Time

	responded atomic.Int64 // time of the last response; 0: none. In nanoseconds since 1970
	failing   atomic.Bool  // the last that is known is a failure

	mu      sync.Mutex // guards the following
	failed  time.Time  // of the last failure of a request or a check
	since   time.Time  // of the first failure since the last response; zero: none
	err     error      // of the last failure
	checked time.Time  // of the last check
	running chan struct{}
}

// New returns a monitor. check asks the upstream for any response; nil: only requests say whether it responds. Its context ends after
// CheckTimeout. now is nil, or a clock for tests.
func New(check func(ctx context.Context) error, now func() time.Time) *Monitor {
	if now == nil {
		now = time.Now
	}
	return &Monitor{check: check, now: now}
}

// Responded records that the upstream has responded to a request, other than with an error of a server.
func (m *Monitor) Responded() {
	if now := m.now().UnixNano(); now-m.responded.Load() >= int64(step) || m.failing.Load() {
		m.responded.Store(now)
		m.failing.Store(false)
	}
}

// Failed records that the upstream has not responded to a request, or with an error of a server.
func (m *Monitor) Failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail(m.now(), err)
}

// fail records a failure. The caller must hold the mutex.
func (m *Monitor) fail(now time.Time, err error) {
	if m.since.IsZero() || m.responded.Load() > m.failed.UnixNano() {
		m.since = now
	}
	m.failed, m.err = now, err
	m.failing.Store(true)
}

// State returns what is known. If the upstream has not responded lately, or a request has failed since, State checks it: once for all
// concurrent callers, and at most once a second. It waits for the check until ctx ends.
func (m *Monitor) State(ctx context.Context) Result {
	m.mu.Lock()
	now := m.now()
	if m.check == nil || !m.isDue(now) {
		defer m.mu.Unlock()
		return m.result(now)
	}
	done := m.running
	if done == nil {
		done = make(chan struct{})
		m.running = done
		go m.run(context.WithoutCancel(ctx), done)
	}
	m.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.result(m.now())
}

// isDue reports whether the upstream must be checked. The caller must hold the mutex.
func (m *Monitor) isDue(now time.Time) bool {
	responded := time.Unix(0, m.responded.Load())
	if now.Sub(responded) < fresh && responded.After(m.failed) {
		return false
	}
	if passed := now.Sub(m.checked); passed < fresh {
		return passed >= retry && m.failed.After(m.checked)
	}
	return true
}

// run checks the upstream.
func (m *Monitor) run(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, CheckTimeout)
	defer cancel()
	err := m.check(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.checked, m.running = now, nil
	if err != nil {
		m.fail(now, err)
	} else {
		m.responded.Store(now.UnixNano())
		m.failing.Store(false)
	}
	close(done)
}

// result returns what is known. The caller must hold the mutex.
func (m *Monitor) result(now time.Time) Result {
	responded := m.responded.Load()
	last := max(responded, m.failed.UnixNano())
	switch {
	case responded == 0 && m.failed.IsZero(), m.check == nil && now.UnixNano()-last > int64(passive):
		return Result{}
	case responded > 0 && (m.failed.IsZero() || responded >= m.failed.UnixNano()):
		return Result{State: Responds}
	default:
		return Result{Fails, m.err, m.since}
	}
}
