package ratelimit

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestStreams(t *testing.T) {
	l := newLimiter(10)
	acquire := func(key string, v Visitor, keyStreams, visitorStreams int, want Scope) *Slot {
		t.Helper()
		slot, got := l.Acquire(key, v, keyStreams, visitorStreams)
		if got != want || (got == None) != (slot != Slot{}) {
			t.Fatalf("%v: %d, want %d", v, got, want)
		}
		return &slot
	}
	a1 := acquire("k", visitor(1), 3, 2, None)
	a2 := acquire("k", visitor(1), 3, 2, None)
	acquire("k", visitor(1), 3, 2, PerVisitor)
	b := acquire("k", visitor(2), 3, 2, None)
	acquire("k", visitor(3), 3, 2, PerKey)
	acquire("k", visitor(1), 3, 2, PerKey)
	acquire("other", visitor(1), 3, 2, None)

	acquire("k", visitor(4), -1, 0, PerKey)
	acquire("k", visitor(4), 0, -1, PerVisitor)
	unlimited := acquire("k", visitor(4), 0, 0, None)
	acquire("k", visitor(4), 0, 1, PerVisitor) // streams without a limit count, too
	unlimited.Release()

	a1.Release()
	a1.Release() // does nothing
	new(Slot).Release()
	acquire("k", visitor(1), 3, 2, None).Release()
	a2.Release()
	b.Release()
	copied := *acquire("k", visitor(1), 1, 1, None)
	again := copied
	copied.Release()
	again.Release()
	acquire("k", visitor(1), 1, 1, None).Release()
	if k := l.shard("k").keys["k"]; k.streams != 0 || len(k.visitorStreams) != 0 || !k.idle(0) {
		t.Errorf("%+v", k)
	}
}

// On a new day the streams of the day before count, too.
func TestStreamsOfPreviousVisitorID(t *testing.T) {
	l := newLimiter(10)
	yesterday := visitor(1)
	today := Visitor{id: visitor(2).id, previous: yesterday.id}
	before, _ := l.Acquire("k", yesterday, 0, 2)
	after, _ := l.Acquire("k", today, 0, 2)
	if _, limit := l.Acquire("k", today, 0, 2); limit != PerVisitor {
		t.Error("the visitor has three streams")
	}
	before.Release()
	after.Release()
	if k := l.shard("k").keys["k"]; k.streams != 0 || len(k.visitorStreams) != 0 {
		t.Errorf("%+v", k)
	}
	// Visitors without a previous ID have nothing in common with the zero visitor.
	l.Acquire("k", Visitor{}, 0, 1)
	if _, limit := l.Acquire("k", visitor(1), 0, 1); limit != None {
		t.Error("the stream of another visitor counts")
	}
}

// The limits hold for streams of many goroutines, and all of them are released.
func TestConcurrentStreams(t *testing.T) {
	const keyStreams, visitorStreams = 6, 2
	l := newLimiter(10)
	var mu sync.Mutex
	open, total := map[int]int{}, 0
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 6))
			for range 3000 {
				n := rng.IntN(4)
				slot, limit := l.Acquire("k", visitor(n), keyStreams, visitorStreams)
				if limit != None {
					continue
				}
				mu.Lock()
				open[n]++
				total++
				if open[n] > visitorStreams || total > keyStreams {
					t.Errorf("%d streams of the visitor, %d of the key", open[n], total)
				}
				mu.Unlock()
				if rng.IntN(10) == 0 {
					l.Allow(epoch, "k", visitor(n), perMinute, perMinute)
				}
				mu.Lock()
				open[n]--
				total--
				mu.Unlock()
				slot.Release()
			}
		})
	}
	wg.Wait()
	if k := l.shard("k").keys["k"]; k.streams != 0 || len(k.visitorStreams) != 0 {
		t.Errorf("%+v", k)
	}
}
