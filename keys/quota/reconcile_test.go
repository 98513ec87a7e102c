package quota

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeSource is a TokenSource in memory.
type fakeSource struct {
	block chan struct{} // Tokens waits until it is closed; nil: it does not wait

	mu             sync.Mutex // guards the following
	tokens         map[string]int64
	err            error
	reads, largest int
	open           bool
}

// set changes what the source has.
func (s *fakeSource) set(change func(*fakeSource)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *fakeSource) Tokens(ctx context.Context, ids []string) (map[string]int64, error) {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return nil, errors.New("canceled")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	s.largest, s.open = max(s.largest, len(ids)), true
	found := map[string]int64{}
	for _, id := range ids {
		if n, ok := s.tokens[id]; ok {
			found[id] = n
		}
	}
	return found, s.err
}

func (s *fakeSource) Close() { s.set(func(s *fakeSource) { s.open = false }) }

var discard = slog.New(slog.DiscardHandler)

// reconcileTest is a reconciler of answers of one key, each estimated at 100 tokens.
type reconcileTest struct {
	*Reconciler
	t       *testing.T
	counter *Counter

	mu      sync.Mutex        // guards settled
	settled map[string]string // by request ID
}

func newReconcileTest(t *testing.T) *reconcileTest {
	return &reconcileTest{Reconciler: NewReconciler(), t: t, counter: New(), settled: map[string]string{}}
}

func (r *reconcileTest) answer(id string, complete bool) {
	r.Add(Answer{
		RequestID: id, Complete: complete, Estimate: estimated(r.counter, time.Now(), 100),
		Settled: func(tokens int64, exact bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.settled[id] != "" {
				r.t.Errorf("%s is settled twice", id)
			}
			r.settled[id] = fmt.Sprint(tokens, exact)
		},
	})
}

// after lets time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *reconcileTest) want(tokens, estimated int64) {
	r.t.Helper()
	if n, of := r.counter.tokens(r.t, time.Now()); n != tokens || of != estimated {
		r.t.Errorf("%d tokens, %d estimated; want %d, %d", n, of, tokens, estimated)
	}
}

func TestReconcile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, source := newReconcileTest(t), &fakeSource{tokens: map[string]int64{"a": 7, "late": 30}}
		defer r.Attach(discard, source)()
		r.answer("a", true)
		r.answer("", true)
		after(time.Second)
		r.want(200, 200)
		after(3 * time.Second)
		r.want(107, 100)
		if source.open {
			t.Error("the source is open without a pending answer")
		}
		source.set(func(s *fakeSource) { delete(s.tokens, "late") })
		r.answer("late", true)
		after(5 * time.Second)
		r.want(207, 200)
		source.set(func(s *fakeSource) { s.tokens["late"] = 30 })
		after(10 * time.Second)
		r.want(137, 100)
		reads := source.reads
		r.answer("unknown", true)
		after(time.Hour)
		r.want(237, 200)
		if n := source.reads - reads; n != len(readAfter) {
			t.Errorf("an unknown answer is read %d times", n)
		}
		if got := fmt.Sprint(r.settled); got != "map[:100 false a:7 true late:30 true unknown:100 false]" {
			t.Error(got)
		}
	})
}

// The model may be called again after the client has disconnected.
func TestReconcileInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, source := newReconcileTest(t), &fakeSource{tokens: map[string]int64{"a": 5, "b": 5, "c": 0}}
		defer r.Attach(discard, source)()
		r.answer("a", false)
		r.answer("b", false)
		after(time.Minute)
		r.want(200, 200)
		source.set(func(s *fakeSource) { s.tokens["a"] = 50 })
		after(2 * time.Minute)
		r.want(105, 100)
		after(5 * time.Minute)
		r.want(55, 0)
		r.answer("c", false)
		for range 100 {
			source.set(func(s *fakeSource) { s.tokens["c"]++ })
			after(time.Minute / 2)
		}
		r.want(155, 100)
	})
}

func TestReconcileFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		log := slog.New(slog.NewTextHandler(io.Writer(&logged), nil))
		r, source := newReconcileTest(t), &fakeSource{tokens: map[string]int64{"a": 5, "c": 5}, err: errors.New("unavailable")}
		second := &fakeSource{tokens: map[string]int64{"b": 9}}
		defer r.Attach(log, source, second)()
		r.answer("b", true)
		r.answer("x", true)
		after(20 * time.Minute) // longer than an unknown answer is read without failures
		r.want(109, 100)
		if n := strings.Count(logged.String(), "level=WARN"); n != 1 {
			t.Errorf("logged: %s", logged.String())
		}
		source.set(func(s *fakeSource) { s.err, s.tokens["x"] = nil, 1 })
		after(15 * time.Second)
		r.want(10, 0)
		if !strings.Contains(logged.String(), "again") {
			t.Errorf("logged: %s", logged.String())
		}
		source.set(func(s *fakeSource) { s.err = errors.New("unavailable") })
		r.answer("y", true)
		after(maxAge + time.Minute)
		r.want(110, 100)

		// Without permissions, estimates are kept immediately.
		deny := func(s *fakeSource) { s.err = &UnreadableError{"denied"} }
		source.set(deny)
		second.set(deny)
		r.answer("z", true)
		after(10 * time.Second)
		reads := source.reads
		r.answer("z2", true)
		r.want(310, 300)
		if len(r.pending) > 0 {
			t.Errorf("pending: %v", r.pending)
		}
		after(time.Hour)
		if source.reads > reads {
			t.Errorf("%d reads without an answer", source.reads-reads)
		}
		allow := func(s *fakeSource) { s.err = nil }
		source.set(allow)
		second.set(allow)
		r.answer("c", true)
		after(5 * time.Second)
		r.want(315, 300)
	})
}

func TestReconcileIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, source := newReconcileTest(t), &fakeSource{tokens: map[string]int64{}}
		defer r.Attach(discard, source)()
		for i := range maxPending + 1000 {
			id := fmt.Sprint(i)
			r.answer(id, true)
			source.set(func(s *fakeSource) { s.tokens[id] = 1 })
		}
		r.want((maxPending+1000)*100, (maxPending+1000)*100)
		after(time.Duration(maxPending/batchSize+3) * time.Second)
		r.want(maxPending+1000*100, 1000*100)
		if source.largest != batchSize || source.reads != maxPending/batchSize {
			t.Errorf("%d reads of up to %d answers", source.reads, source.largest)
		}
	})
}

// An answer that began before a reload is read by the new configuration, and no answer is counted twice.
func TestReconcileReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, old := newReconcileTest(t), &fakeSource{tokens: map[string]int64{"a": 5}, block: make(chan struct{})}
		r.answer("before", true)
		r.want(100, 100)
		detachOld := r.Attach(discard, old)
		r.answer("a", true)
		after(3 * time.Second) // the old one reads
		newer := &fakeSource{tokens: map[string]int64{"a": 5, "b": 6}}
		detachNew := r.Attach(discard, newer)
		r.answer("b", true)
		after(4 * time.Second)
		r.want(111, 100)
		close(old.block)
		after(time.Second)
		detachOld()
		r.want(111, 100)
		r.answer("c", true)
		detachNew()
		r.want(211, 200)
		if got := fmt.Sprint(r.settled); !strings.Contains(got, "c:100 false") || len(r.pending) > 0 {
			t.Errorf("settled: %s, pending: %v", got, r.pending)
		}
	})
}
