package inflight

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/inflight/fairqueue"
)

// single has one slot, and a queue of four.
var single = Limits{Total: 1, PerKey: 1, Waiting: 4, WaitingPerKey: 4}

// addVisitor lets a request wait like add. The second letter of its name is the visitor.
func (w *waiting) addVisitor(name string, weight int, limits Limits) {
	w.addRequest(w.t.Context(), name, Request{
		Upstream: "u", Class: "c", Key: name[:1], Visitor: fairqueue.Visitor{name[1]}, Weight: weight,
	}, limits, time.Hour)
}

// releaseAll releases the slots of all requests, including those that are admitted meanwhile.
func (w *waiting) releaseAll() {
	w.t.Helper()
	for i := 0; i < len(w.order); i++ {
		name, _, _ := strings.Cut(w.order[i], " ")
		w.release(name)
	}
	w.l.empty(w.t)
}

// A full queue rejects the newest request of the longest key and visitor, not a new request of others.
func TestFullQueueEvictsLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		for _, name := range []string{"f-", "ax1", "ax2", "ax3", "ay1"} {
			w.addVisitor(name, 1, single)
		}
		w.addVisitor("ax4", 1, single) // its own visitor has most
		w.want("f-, ax4 key")
		w.addVisitor("ay2", 1, single)
		w.want("f-, ax4 key, ax3 evicted")
		w.addVisitor("b1", 1, single)
		w.want("f-, ax4 key, ax3 evicted, ay2 evicted")
		w.addVisitor("b2", 1, single)
		w.want("f-, ax4 key, ax3 evicted, ay2 evicted, ax2 evicted")
		w.addVisitor("b3", 1, single) // both keys have two
		w.want("f-, ax4 key, ax3 evicted, ay2 evicted, ax2 evicted, b3 total")
		w.addVisitor("b4", 3, single) // with this weight, three are not more than one
		if n := strings.Count(strings.Join(w.order, " "), "evicted"); n != 4 {
			t.Errorf("%d are evicted: %v", n, w.order)
		}
		w.l.wantCount(t, 1, 4)
		w.releaseAll()
	})
}

// The bound of a key evicts among its own visitors.
func TestFullKeyEvictsLongestVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, limits := newWaiting(t), Limits{Total: 1, PerKey: 1, Waiting: 9, WaitingPerKey: 3}
		for _, name := range []string{"f-", "ax1", "ax2", "ax3", "b1", "b2", "b3", "ay1"} {
			w.addVisitor(name, 1, limits)
		}
		w.want("f-, ax3 evicted")
		w.addVisitor("ax4", 1, limits)
		w.want("f-, ax3 evicted, ax4 key")
		w.releaseAll()
	})
}

func TestKeysTakeTurnsByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, limits := newWaiting(t), Limits{Total: 1, PerKey: 1, Waiting: 20, WaitingPerKey: 20}
		w.addVisitor("f-", 1, limits)
		for i := range 4 {
			w.addVisitor(fmt.Sprint("a-", i), 1, limits)
			w.addVisitor(fmt.Sprint("b-", i), 3, limits)
		}
		for i := range 8 {
			w.release(w.order[i])
		}
		w.want("f-, a-0, b-0, b-1, b-2, a-1, b-3, a-2, a-3") // although a key is at its limit after each request
		w.releaseAll()

		limits.PerKey = 4
		w.order = nil
		limits.Total = 4
		for i := range 4 {
			w.addVisitor(fmt.Sprint("f-", i), 1, limits)
		}
		for i := range 4 {
			w.addVisitor(fmt.Sprint("a-", i), 1, limits)
			w.addVisitor(fmt.Sprint("b-", i), 3, limits)
		}
		for i := range 8 {
			w.release(w.order[i])
		}
		w.want("f-0, f-1, f-2, f-3, a-0, b-0, b-1, b-2, a-1, b-3, a-2, a-3")
		w.releaseAll()
	})
}

// A queue that is too long for a new configuration shrinks with each request; a longer one has room immediately.
func TestQueueSizeChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		w.addVisitor("f-", 1, single)
		for i := range 4 {
			w.addVisitor(fmt.Sprint("a", i), 1, single)
		}
		smaller, larger := single, single
		smaller.Waiting, larger.Waiting, larger.WaitingPerKey = 2, 6, 6
		w.addVisitor("b1", 1, larger)
		w.l.wantCount(t, 1, 5)
		for _, want := range []int{4, 3, 2, 2} {
			w.addVisitor("a9", 1, smaller)
			w.l.wantCount(t, 1, want)
		}
		w.releaseAll()
	})
}

func TestEstimatedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		if d := w.l.EstimatedWait("u", "c"); d != 0 {
			t.Errorf("an unused class: %v", d)
		}
		w.addVisitor("f-", 1, single)
		time.Sleep(time.Hour) // nothing waits
		for i := range 4 {
			w.addVisitor(fmt.Sprint("a", i), 1, single)
		}
		if d := w.l.EstimatedWait("u", "c"); d != 0 {
			t.Errorf("before a slot was released: %v", d)
		}
		for i := range 2 {
			time.Sleep(2 * time.Second)
			w.release(w.order[i])
		}
		if d := w.l.EstimatedWait("u", "c"); d != 3*2*time.Second { // two wait, and one that asks
			t.Errorf("two in four seconds: %v", d)
		}
		time.Sleep(18 * time.Second)
		w.release(w.order[2])
		if d := w.l.EstimatedWait("u", "c"); d != 2*3*time.Second {
			t.Errorf("a slower one: %v", d)
		}
		w.releaseAll()
	})
}

// Requests that come, wait, give up, time out and are evicted at random times: none waits while there is a slot for it, none is
// admitted twice or lost, and nothing is left at the end.
func TestQueueRandomly(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 4))
			var l Limiter
			var open, inFlight atomic.Int64
			var seen [Evicted + 1]atomic.Int64
			limits := Limits{Total: 1 + random.IntN(6), PerKey: 1 + random.IntN(4), Waiting: 1 + random.IntN(30), WaitingPerKey: 1 + random.IntN(30)}
			for range 600 {
				time.Sleep(time.Duration(random.IntN(5)) * time.Second)
				r := Request{
					Upstream: "u", Class: "c", Key: fmt.Sprint(random.IntN(4)), Visitor: fairqueue.Visitor{byte(random.IntN(3))},
					Weight: random.IntN(4), Cost: 1 + random.IntN(2),
				}
				wait, hold := time.Duration(random.IntN(60))*time.Second, time.Duration(random.IntN(20))*time.Second
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+random.IntN(80))*time.Second)
				open.Add(1)
				go func() {
					defer open.Add(-1)
					defer cancel()
					var slot Slot
					d := l.Acquire(ctx, &slot, r, limits, wait)
					if seen[d].Add(1); d != Acquired {
						return
					}
					cost := int64(slot.cost)
					if n := inFlight.Add(cost); n > int64(limits.Total) {
						t.Errorf("seed %d: %d in flight", seed, n)
					}
					time.Sleep(hold)
					inFlight.Add(-cost)
					slot.Release()
				}()
				synctest.Wait()
				l.checkNoneFits(t, seed)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := open.Load(); n != 0 {
				t.Errorf("seed %d: %d requests wait forever", seed, n)
			}
			l.empty(t)
			if seen[Acquired].Load() == 0 {
				t.Errorf("seed %d: nothing was admitted", seed)
			}
		})
	}
}

// checkNoneFits fails if a request waits that would fit into all limits.
func (l *Limiter) checkNoneFits(t *testing.T, seed uint64) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.groups {
		if item := g.queue.Next(); item != nil && g.inFlight+item.Value.cost <= item.Value.limits.Total {
			t.Errorf("seed %d: a request waits without need", seed)
		}
		for _, e := range g.entries {
			item := g.queue.NextOf(&e.waiting)
			if item != nil && e.inFlight+item.Value.cost <= item.Value.limits.PerKey && g.queue.Next() == nil {
				t.Errorf("seed %d: key %s is blocked without need", seed, e.key)
			}
		}
	}
}

// The same with the race detector and real time, where everything may happen at the same moment.
func TestQueueConcurrently(t *testing.T) {
	var l Limiter
	limits := Limits{Total: 3, PerKey: 2, Waiting: 6, WaitingPerKey: 5}
	var workers sync.WaitGroup
	var seen [Evicted + 1]atomic.Int64
	for i := range 24 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 5))
			for range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(400))*time.Microsecond)
				r := Request{Class: "c", Key: fmt.Sprint(random.IntN(4)), Visitor: fairqueue.Visitor{byte(i)}, Weight: 1 + random.IntN(3)}
				var slot Slot
				d := l.Acquire(ctx, &slot, r, limits, time.Duration(1+random.IntN(400))*time.Microsecond)
				if seen[d].Add(1); d == Acquired {
					time.Sleep(time.Duration(random.IntN(50)) * time.Microsecond)
				}
				slot.Release()
				cancel()
			}
		})
	}
	workers.Wait()
	l.empty(t)
	if seen[Acquired].Load() == 0 || seen[Evicted].Load() == 0 {
		t.Errorf("not everything happened: %d admitted, %d evicted", seen[Acquired].Load(), seen[Evicted].Load())
	}
}
