package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

var perMinute = Rate{20, time.Minute}

// check fails if the data structures are inconsistent, or if there are more visitors than allowed.
func (l *Limiter) check(t *testing.T) {
	t.Helper()
	total := 0
	for i := range l.shards {
		s := &l.shards[i]
		largest := 0
		for pos, k := range s.ring {
			if k.position != pos || s.keys[k.id] != k {
				t.Fatalf("key %s is not at its position", k.id)
			}
			n := 0
			for _, table := range k.tables {
				n += len(table.ids)
				table.check(t)
			}
			if n != k.visitors {
				t.Fatalf("key %s: %d visitors, counted %d", k.id, n, k.visitors)
			}
			listed := false
			for other := s.classes[k.class]; other != nil; other = other.next {
				listed = listed || other == k
			}
			if listed != (k.class > 0) {
				t.Fatalf("key %s: listed %v, class %d", k.id, listed, k.class)
			}
			total, largest = total+n, max(largest, k.class)
		}
		if len(s.ring) != len(s.keys) || int(s.largest.Load()) != largest {
			t.Fatalf("%d keys, %d in the ring, largest class %d, want %d", len(s.keys), len(s.ring), s.largest.Load(), largest)
		}
	}
	if got := l.Stats().Visitors; got != total || total > l.maxVisitors {
		t.Fatalf("%d visitors, counted %d, at most %d", total, got, l.maxVisitors)
	}
}

func (t *table) check(test *testing.T) {
	test.Helper()
	if len(t.index) != len(t.ids) || len(t.heap) != len(t.ids) {
		test.Fatalf("%d in the index, %d IDs, %d in the heap", len(t.index), len(t.ids), len(t.heap))
	}
	for item, id := range t.ids {
		if t.index[id.id] != uint32(item) || t.heap[id.pos].item != uint32(item) {
			test.Fatalf("the positions of item %d differ", item)
		}
	}
	for pos := range t.heap {
		if pos > 0 && t.heap[(pos-1)/4].ns > t.heap[pos].ns {
			test.Fatalf("the heap is out of order at %d", pos)
		}
	}
}

// The heap always has the least arrival first, whatever is inserted, updated, renamed and removed.
func TestTable(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		table, want := newTable(perMinute, 0), map[visitorID]int64{}
		for step := range 4000 {
			id := visitor(rng.IntN(1500)).id
			item, ok := table.find(id)
			if _, known := want[id]; ok != known {
				t.Fatalf("seed %d: visitor known %v, want %v", seed, ok, known)
			}
			shrinking := step/1000%2 == 1
			switch {
			case ok && rng.IntN(4) == 0:
				to := visitor(10_000 + step).id
				table.rename(item, to)
				want[to] = want[id]
				delete(want, id)
			case ok && !shrinking:
				a := arrival{ns: table.arrival(item).ns + rng.Int64N(1000)}
				table.update(item, a)
				want[id] = a.ns
			case !ok && !shrinking:
				a := arrival{ns: rng.Int64N(1000)}
				table.insert(id, a)
				want[id] = a.ns
			case len(want) > 0:
				first := table.heap[0]
				for _, ns := range want {
					if ns < first.ns {
						t.Fatalf("seed %d: %d is first, but there is %d", seed, first.ns, ns)
					}
				}
				delete(want, table.ids[first.item].id)
				table.removeFirst()
			}
			if step%50 == 0 {
				table.check(t)
			}
		}
	}
}

// A flood of visitors on one key drops no counter of other keys, and is bounded by the limit of its own key.
func TestFloodOfVisitors(t *testing.T) {
	for _, maxVisitors := range []int{200_000, 60_000} {
		l, c := newLimiter(maxVisitors), new(clock)
		others := map[string]int{"small": 1, "middle": 500, "large": maxVisitors / 8}
		for key, n := range others {
			for i := range n {
				for range 1 + i%20 {
					l.Allow(c.now(), key, visitor(i), Rate{}, perMinute)
				}
			}
		}
		before := l.Stats()
		keyRate, allowed := Rate{70_000, time.Minute}, 0
		for i := range 80_000 {
			if l.Allow(c.now(), "flood", visitor(i), keyRate, perMinute).Allowed() {
				allowed++
			}
		}
		for i := range 80_000 { // those without a counter begin again, but not above the key's limit
			if l.Allow(c.now(), "flood", visitor(i), keyRate, perMinute).Allowed() {
				allowed++
			}
		}
		l.check(t)
		if allowed != keyRate.Count {
			t.Errorf("%d requests, want %d", allowed, keyRate.Count)
		}
		if n := l.Stats().Visitors - before.Visitors; n != maxVisitors/4 || before.Evicted > 0 || l.Stats().Evicted == 0 {
			t.Errorf("the flood has %d counters, want %d; before %+v, now %+v", n, maxVisitors/4, before, l.Stats())
		}
		for key, n := range others {
			for i := range n {
				if d := l.Allow(c.now(), key, visitor(i), Rate{}, perMinute); d.Allowed() != (i%20 < 19) || d.Remaining != max(18-i%20, 0) {
					t.Fatalf("%s: visitor %d: %+v", key, i, d)
				}
			}
		}
	}
}

// When many keys are flooded, the small ones keep their counters, and new visitors of small keys get one.
func TestFloodOfManyKeys(t *testing.T) {
	const maxVisitors = 4000
	l, c := newLimiter(maxVisitors), new(clock)
	use := func(key string, n, times int) (d Decision) {
		for range times {
			d = l.Allow(c.now(), key, visitor(n), Rate{}, perMinute)
		}
		return d
	}
	for n := range 100 {
		use("before", n, 20)
	}
	for n := range 3000 {
		for key := range 10 {
			use(fmt.Sprint("flood-", key), n, 1)
		}
	}
	for n := range 100 {
		use("during", n, 20)
	}
	for n := range 3000 {
		for key := range 10 {
			use(fmt.Sprint("flood-", key), n, 1)
		}
	}
	l.check(t)
	if l.Stats().Visitors != maxVisitors {
		t.Errorf("%d visitors", l.Stats().Visitors)
	}
	for n := range 100 {
		for _, key := range []string{"before", "during"} {
			if d := use(key, n, 1); d.Allowed() {
				t.Errorf("%s: the counter of visitor %d was dropped", key, n)
			}
		}
	}
}

// When all slots are in use, a key with about as many visitors as the largest one drops its own.
func TestFloodDropsOwnVisitors(t *testing.T) {
	l, c := newLimiter(4000), new(clock)
	sizes := map[string]int{"a": 600, "b": 700, "c": 1000, "d": 1000, "flood": 700}
	for key, n := range sizes {
		for i := range n {
			l.Allow(c.now(), key, visitor(i), Rate{}, perMinute)
		}
	}
	for i := range 5000 {
		l.Allow(c.now(), "flood", visitor(1000+i), Rate{}, perMinute)
	}
	l.check(t)
	for key, n := range sizes {
		if got := l.shard(key).keys[key].visitors; got != n {
			t.Errorf("%s has %d visitors, want %d", key, got, n)
		}
	}
}

// The counter that is closest to being replenished is dropped first, so a visitor cannot get rid of an exhausted one.
func TestEvictionOrder(t *testing.T) {
	l, c := newLimiter(400), new(clock) // 100 for a key
	for n := range 100 {
		for range 20 - n%20 {
			l.Allow(c.now(), "k", visitor(n), Rate{}, perMinute)
		}
	}
	for n := range 10_000 {
		l.Allow(c.now(), "k", visitor(1000+n), Rate{}, perMinute)
	}
	l.check(t)
	table := l.shard("k").keys["k"].tables[0]
	for n := range 100 {
		// Those with one request are like the visitors of the flood.
		if _, ok := table.find(visitor(n).id); !ok && n%20 < 19 {
			t.Errorf("the counter of visitor %d, with %d requests, was dropped", n, 20-n%20)
		}
	}
}

// Idle counters are dropped before others, also those of other keys.
func TestIdleVisitorsAreDroppedFirst(t *testing.T) {
	const maxVisitors = 1000
	l, c := newLimiter(maxVisitors), new(clock)
	for key := range 4 {
		for n := range maxVisitors / 4 {
			l.Allow(c.now(), fmt.Sprint("idle-", key), visitor(n), Rate{}, perMinute)
		}
	}
	c.advance(3 * time.Second) // one request is replenished
	for key := range 4 {
		for n := range maxVisitors / 5 {
			if d := l.Allow(c.now(), fmt.Sprint("new-", key), visitor(n), Rate{}, Rate{20, time.Hour}); d.Remaining != 19 {
				t.Fatalf("%+v", d)
			}
		}
	}
	l.check(t)
	if l.Stats().Evicted > 0 {
		t.Errorf("%+v: counters were dropped although others are idle", l.Stats())
	}
	// A key drops its idle counters while it has new ones.
	c.advance(time.Hour)
	for n := range maxVisitors {
		l.Allow(c.now(), "new-0", visitor(5000+n), Rate{}, Rate{20, time.Second})
		c.advance(time.Second)
	}
	l.check(t)
	if n := l.shard("new-0").keys["new-0"].visitors; n > 10 || l.Stats().Evicted > 0 {
		t.Errorf("%d visitors, %+v", n, l.Stats())
	}
}

// Keys are forgotten when they are idle.
func TestIdleKeysAreRemoved(t *testing.T) {
	l, c := newLimiter(100), new(clock)
	held, _ := l.Acquire("with a stream", visitor(1), 0, 0)
	for n := range 30_000 {
		l.Allow(c.now(), fmt.Sprint("key-", n), visitor(n), perMinute, perMinute)
		c.advance(time.Second)
	}
	l.check(t)
	keys := 0
	for i := range l.shards {
		keys += len(l.shards[i].keys)
	}
	if most := shardCount * (minKeys + 2); keys > most {
		t.Errorf("%d keys, want at most %d", keys, most)
	}
	if _, limit := l.Acquire("with a stream", visitor(2), 1, 0); limit != PerKey {
		t.Error("the key with a stream was removed")
	}
	held.Release()
}

// Random requests of many goroutines keep the structures consistent and the memory bounded.
func TestConcurrentFlood(t *testing.T) {
	l, c := newLimiter(500), new(clock)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 5))
			for range 20_000 {
				key := fmt.Sprint("key-", rng.IntN(1<<rng.IntN(8)))
				rates := [...]Rate{perMinute, {3, time.Second}, {1, time.Hour}, {}}
				l.Allow(c.now(), key, visitor(rng.IntN(1000)), rates[rng.IntN(4)], rates[rng.IntN(4)])
				if n := l.visitors.Load(); n > 500+8 { // an attempt counts for a moment
					t.Errorf("%d visitors", n)
				}
				c.advance(time.Duration(rng.IntN(int(time.Millisecond))))
			}
		})
	}
	wg.Wait()
	l.check(t)
}

// The documented size of a visitor holds, and the memory of dropped visitors is released.
func TestMemory(t *testing.T) {
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	l, c := newLimiter(0), new(clock)
	fill := func(key string, n int) {
		for i := range n {
			l.Allow(c.now(), key, visitor(i), Rate{}, perMinute)
		}
	}
	before := heap()
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		fill(key, DefaultMaxVisitors/4+2000)
	}
	l.check(t)
	full := heap() - before
	if n := l.Stats().Visitors; n != DefaultMaxVisitors || full > 130*n {
		t.Errorf("%d visitors need %d bytes each", n, full/n)
	}
	t.Logf("%d bytes for each visitor", full/DefaultMaxVisitors)

	c.advance(time.Hour)
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		for i := range DefaultMaxVisitors / 7 { // each drops two idle counters
			l.Allow(c.now(), key, visitor(DefaultMaxVisitors+i), Rate{}, perMinute)
			c.advance(time.Minute)
		}
	}
	l.check(t)
	if empty := heap() - before; empty > full/20 {
		t.Errorf("%d visitors need %d bytes after %d", l.Stats().Visitors, empty, full)
	}
	runtime.KeepAlive(l)
}

// The size of a key in the documentation of Limiter holds.
func TestMemoryOfKeys(t *testing.T) {
	var before, after runtime.MemStats
	l, c := newLimiter(0), new(clock)
	const keys = 20_000
	ids := make([]string, keys)
	for i := range ids {
		ids[i] = fmt.Sprint("key-", i)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i, id := range ids {
		l.Allow(c.now(), id, visitor(i), perMinute, perMinute)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	size := int(after.HeapAlloc-before.HeapAlloc) / keys
	t.Logf("%d bytes for a key with a visitor", size)
	if size > 1000 {
		t.Errorf("a key needs %d bytes", size)
	}
	runtime.KeepAlive(l)
}
