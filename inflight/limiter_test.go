package inflight

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// site has the limits that most tests use.
var site = Limits{Total: 4, PerKey: 2}

// queueing is the same with a queue.
var queueing = Limits{Total: 4, PerKey: 2, Waiting: 6, WaitingPerKey: 3}

func (l *Limiter) try(t *testing.T, key string, limits Limits, want Decision) *Slot {
	t.Helper()
	slot := new(Slot)
	if got := l.Acquire(t.Context(), slot, Request{Upstream: "u", Class: "c", Key: key}, limits, 0); got != want {
		t.Fatalf("%s: decision %d, want %d", key, got, want)
	}
	return slot
}

func (l *Limiter) wantCount(t *testing.T, inFlight, waiting int) {
	t.Helper()
	var got Count
	for _, c := range l.Counts() {
		if c.Class == "c" {
			got.InFlight, got.Waiting = got.InFlight+c.InFlight, got.Waiting+c.Waiting
		}
	}
	if got.InFlight != inFlight || got.Waiting != waiting {
		t.Errorf("counts %+v, want %d in flight, %d waiting", got, inFlight, waiting)
	}
}

// empty fails if the limiter still has any state.
func (l *Limiter) empty(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, g := range l.groups {
		t.Errorf("%v is still there: %d in flight, %d waiting, %d keys", id, g.inFlight, g.queue.Len(), len(g.entries))
	}
	for _, g := range l.spareGroups {
		if g.inFlight != 0 || g.queue.Len() != 0 || len(g.entries) != 0 || g.queue.Next() != nil || g.rate != (rate{}) {
			t.Errorf("a spare group holds something: %+v", g)
		}
	}
	for _, e := range l.spareEntries {
		if !reflect.DeepEqual(*e, entry{}) {
			t.Errorf("a spare entry holds something: %+v", e)
		}
	}
}

func TestLimits(t *testing.T) {
	var l Limiter
	a1, _ := l.try(t, "a", site, Acquired), l.try(t, "a", site, Acquired)
	l.try(t, "a", site, KeyLimit)
	b1, b2 := l.try(t, "b", site, Acquired), l.try(t, "b", site, Acquired)
	l.try(t, "c", site, TotalLimit)
	l.try(t, "a", site, KeyLimit) // the key's own limit first
	l.wantCount(t, 4, 0)

	var other Slot
	for _, r := range []Request{{Upstream: "other", Class: "c", Key: "a"}, {Upstream: "u", Class: "other", Key: "a"}} {
		if got := l.Acquire(t.Context(), &other, r, site, 0); got != Acquired {
			t.Errorf("%+v: decision %d", r, got)
		}
		other.Release()
	}

	a1.Release()
	a1.Release() // does nothing
	new(Slot).Release()
	l.wantCount(t, 3, 0)
	l.try(t, "c", site, Acquired)
	l.try(t, "c", site, TotalLimit)

	// Another caller of the same upstream shares the counts, but has its own limits.
	l.try(t, "c", Limits{Total: 5, PerKey: 1}, KeyLimit)
	l.try(t, "d", Limits{Total: 5, PerKey: 1}, Acquired)
	l.try(t, "e", Limits{Total: 5, PerKey: 1}, TotalLimit)
	b1.Release()
	b2.Release()
}

func TestLimiterKeepsNoState(t *testing.T) {
	var l Limiter
	many := Limits{Total: 10_000, PerKey: 1}
	var slots []*Slot
	for i := range 5000 {
		slots = append(slots, l.try(t, fmt.Sprint(i), many, Acquired))
	}
	for _, s := range slots {
		s.Release()
	}
	for i := range 1000 {
		l.try(t, fmt.Sprint(i), Limits{Total: 0, PerKey: 0}, KeyLimit)
	}
	l.empty(t)
	if len(l.spareEntries) > maxSpareEntries || len(l.spareGroups) > maxSpareGroups {
		t.Errorf("%d entries, %d groups are pooled", len(l.spareEntries), len(l.spareGroups))
	}
}

func TestCost(t *testing.T) {
	var l Limiter
	acquire := func(key string, cost int, want Decision) *Slot {
		t.Helper()
		slot := new(Slot)
		if got := l.Acquire(t.Context(), slot, Request{Class: "c", Key: key, Cost: cost}, site, 0); got != want {
			t.Fatalf("%s, cost %d: decision %d, want %d", key, cost, got, want)
		}
		return slot
	}
	one := acquire("a", 0, Acquired)
	acquire("a", 2, KeyLimit)
	one.Release()
	heavy := acquire("a", 100, Acquired) // one that is above the limit is the limit
	l.wantCount(t, 2, 0)
	acquire("a", 1, KeyLimit)
	heavy.Release()
	l.empty(t)
}

func TestReleaseAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		slot := l.try(t, "a", site, Acquired)
		slot.ReleaseAfter(time.Minute)
		slot.Release() // it has no slot any more
		slot.ReleaseAfter(time.Hour)
		l.wantCount(t, 1, 0)
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		l.wantCount(t, 1, 0)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		l.empty(t)
	})
}

// waiting starts waiting requests, each after the previous one is in the queue.
type waiting struct {
	t     *testing.T
	l     *Limiter
	order []string // in which they were let in, or why not
	slots map[string]*Slot
	mu    sync.Mutex
}

func newWaiting(t *testing.T) *waiting {
	return &waiting{t: t, l: new(Limiter), slots: map[string]*Slot{}}
}

func (w *waiting) add(ctx context.Context, name string, cost int, limits Limits, wait time.Duration) {
	w.addRequest(ctx, name, Request{Upstream: "u", Class: "c", Key: name[:1], Cost: cost}, limits, wait)
}

func (w *waiting) addRequest(ctx context.Context, name string, r Request, limits Limits, wait time.Duration) {
	go func() {
		slot := new(Slot)
		d := w.l.Acquire(ctx, slot, r, limits, wait)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.order = append(w.order, name+[]string{"", " key", " total", " cancelled", " key timeout", " total timeout", " evicted"}[d])
		w.slots[name] = slot
	}()
	synctest.Wait()
}

// release releases slots one after the other.
func (w *waiting) release(names ...string) {
	for _, name := range names {
		w.mu.Lock()
		slot := w.slots[name]
		w.mu.Unlock()
		slot.Release()
		synctest.Wait()
	}
}

func (w *waiting) want(order string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.order, ", "); got != order {
		w.t.Errorf("let in: %s\nwant:   %s", got, order)
	}
}

// The keys take turns, requests of the same key keep their order, and no request overtakes another.
func TestKeysTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		for _, name := range []string{"a1", "a2", "b1", "b2"} {
			w.add(t.Context(), name, 1, queueing, time.Second)
		}
		for _, name := range []string{"a3", "a4", "a5", "a6", "b3", "c1", "c2", "c3"} {
			w.add(t.Context(), name, 1, queueing, time.Second)
		}
		// At most three requests of a key wait, and six in total.
		w.want("a1, a2, b1, b2, a6 key, c3 total")
		w.l.wantCount(t, 4, 6)
		w.release("b2") // b3 has room in its key's share, but c1 asked before it could have gone
		w.want("a1, a2, b1, b2, a6 key, c3 total, c1")
		w.release("a1")
		w.want("a1, a2, b1, b2, a6 key, c3 total, c1, b3")
		w.release("c1") // a3 since a1, before c2
		w.want("a1, a2, b1, b2, a6 key, c3 total, c1, b3, c2")
		w.release("b1")
		w.want("a1, a2, b1, b2, a6 key, c3 total, c1, b3, c2, a3")
		w.release("a2", "a3", "b3", "c2", "a4", "a5")
		w.want("a1, a2, b1, b2, a6 key, c3 total, c1, b3, c2, a3, a4, a5")
		w.l.empty(t)
	})
}

func TestAcquireTimeoutAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		w.add(t.Context(), "a1", 2, queueing, time.Second)
		w.add(t.Context(), "a2", 1, queueing, time.Second) // waits for its key
		w.add(t.Context(), "b1", 2, queueing, time.Second)
		w.add(t.Context(), "c1", 2, queueing, time.Minute) // waits for the total
		ctx, cancel := context.WithCancel(t.Context())
		w.add(ctx, "c2", 1, queueing, time.Minute)
		w.add(t.Context(), "d1", 1, queueing, time.Minute)
		w.l.wantCount(t, 4, 4)
		cancel()
		synctest.Wait()
		w.want("a1, b1, c2 cancelled")
		time.Sleep(time.Second)
		synctest.Wait()
		w.want("a1, b1, c2 cancelled, a2 key timeout")
		w.release("b1")
		w.want("a1, b1, c2 cancelled, a2 key timeout, c1")
		time.Sleep(time.Minute)
		synctest.Wait()
		w.want("a1, b1, c2 cancelled, a2 key timeout, c1, d1 total timeout")
		w.release("a1", "c1")
		w.l.empty(t)
	})
}

// When a waiting request times out, the requests that it blocked are admitted.
func TestWaiterTimeoutAdmitsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		w.add(t.Context(), "a1", 2, queueing, 0)
		w.add(t.Context(), "b1", 1, queueing, 0)
		w.add(t.Context(), "c1", 2, queueing, time.Second) // one is free, two are needed
		w.add(t.Context(), "d1", 1, queueing, time.Minute)
		w.want("a1, b1")
		time.Sleep(time.Second)
		synctest.Wait()
		w.mu.Lock()
		order := strings.Join(w.order, ", ")
		w.mu.Unlock()
		if order != "a1, b1, c1 total timeout, d1" && order != "a1, b1, d1, c1 total timeout" {
			t.Errorf("let in: %s", order)
		}
		w.release("a1", "b1", "d1")
		w.l.empty(t)
	})
}

// With concurrent requests, the limits are never exceeded, and nothing is left at the end.
func TestLimiterConcurrent(t *testing.T) {
	var l Limiter
	limits := Limits{Total: 7, PerKey: 3, Waiting: 20, WaitingPerKey: 9}
	var total, acquired atomic.Int64
	var perKey [5]atomic.Int64
	var workers sync.WaitGroup
	for i := range 32 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 400 {
				key, weight := random.IntN(len(perKey)), 1+random.IntN(3)
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 {
					go cancel()
				}
				var slot Slot
				wait := time.Duration(random.IntN(2)) * time.Millisecond
				if l.Acquire(ctx, &slot, Request{Class: "c", Key: fmt.Sprint(key), Cost: weight}, limits, wait) == Acquired {
					acquired.Add(1)
					if n := total.Add(int64(weight)); n > int64(limits.Total) {
						t.Errorf("%d in flight", n)
					}
					if n := perKey[key].Add(int64(weight)); n > int64(limits.PerKey) {
						t.Errorf("%d of a key in flight", n)
					}
					perKey[key].Add(-int64(weight))
					total.Add(-int64(weight))
					slot.Release()
				}
				cancel()
			}
		})
	}
	workers.Wait()
	if acquired.Load() == 0 {
		t.Error("nothing was let in")
	}
	l.empty(t)
}

// A request that does not wait, alone and among many.
func BenchmarkAcquire(b *testing.B) {
	limits := Limits{Total: 100_000, PerKey: 16}
	for _, others := range []int{0, 1000} {
		b.Run(fmt.Sprintf("%d others in flight", others), func(b *testing.B) {
			var l Limiter
			for i := range others {
				l.Acquire(b.Context(), new(Slot), Request{Upstream: "http://localhost:7091", Class: "answer", Key: fmt.Sprint(i)}, limits, 0)
			}
			r := Request{Upstream: "http://localhost:7091", Class: "answer", Key: "docs-site"}
			b.ReportAllocs()
			for b.Loop() {
				var slot Slot
				if l.Acquire(b.Context(), &slot, r, limits, 0) != Acquired {
					b.Fatal("not acquired")
				}
				slot.Release()
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		var l Limiter
		r := Request{Upstream: "http://localhost:7091", Class: "answer", Key: "docs-site"}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				var slot Slot
				l.Acquire(b.Context(), &slot, r, limits, 0)
				slot.Release()
			}
		})
	})
}
