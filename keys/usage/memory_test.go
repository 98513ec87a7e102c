package usage

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/docsgate/docsgate/internal/alloctest"
)

func TestCountDoesNotAllocate(t *testing.T) {
	m := NewMeter()
	m.Count("key-1", false, noon)
	if n := alloctest.MinAllocs(1000, func() { m.Count("key-1", true, noon) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Each used key has a counter, and slabs of counters fill a size class of the allocator.
func TestCounterSize(t *testing.T) {
	if size := unsafe.Sizeof(counter{}); size != 64 {
		t.Errorf("a counter has %d bytes", size)
	}
	if size := unsafe.Sizeof(slab{}); size > 2048-8 {
		t.Errorf("a slab has %d bytes, more than 2 KiB with the word of the allocator", size)
	}
}

// A key that is used in several hours uses no more memory than a key that is used once.
func TestMemoryPerKey(t *testing.T) {
	const n = 20_000
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("key-", i)
	}
	heap := func() int64 {
		for range 2 { // objects in a sync.Pool survive one cycle
			runtime.GC()
		}
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	var sizes []int64
	for range 3 { // several rounds, since unrelated allocations may interfere with one
		before := heap()
		m := NewMeter()
		for i := range 4 {
			for _, id := range ids {
				m.Count(id, i%2 == 0, noon.Add(time.Duration(5*i)*time.Hour))
			}
		}
		m.TakeDirty()
		sizes = append(sizes, (heap()-before)/n)
		runtime.KeepAlive(m)
	}
	if slices.Min(sizes) > 90 || slices.Max(sizes) < 64 {
		t.Errorf("%d bytes per key", sizes)
	}
	runtime.KeepAlive(ids)
}

// Keys with a busy hour use more memory for a day, but not longer.
func TestBusyHourIsReleasedAfterADay(t *testing.T) {
	m := NewMeter()
	for i := range Hours + 1 {
		times := uint32(1)
		if i == 1 {
			times = 70_000
		}
		for range times {
			m.Count("a", false, noon.Add(time.Duration(i)*time.Hour))
		}
		want := requests(map[int]uint32{0: times})
		if got := m.Get("a", noon.Add(time.Duration(i)*time.Hour)).Requests; got[Hours-1] != want[Hours-1] || i > 1 && got[Hours-i] != 70_000 {
			t.Errorf("hour %d: %v", i, got)
		}
	}
	busy := func() bool {
		hash := m.hash("a")
		return m.shardOf(hash).counters.Load().find(hash, "a").overflow != nil
	}
	if !busy() {
		t.Error("the large number was stored without busy")
	}
	m.Count("a", false, noon.Add((Hours+1)*time.Hour))
	if got := m.Get("a", noon.Add((Hours+1)*time.Hour)).Requests; busy() || got != [Hours]uint32(slices.Repeat([]uint32{1}, Hours)) {
		t.Errorf("a day later: %v", got)
	}
}

func BenchmarkCount(b *testing.B) {
	ids := make([]string, 10000)
	for i := range ids {
		ids[i] = fmt.Sprintf("key_01hzy3v7%018d", i)
	}
	run := func(name string, n int) {
		m := NewMeter()
		for _, id := range ids {
			m.Count(id, false, noon)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Count(ids[i%n], false, noon)
			}
		})
		b.Run(name+", in parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(n); pb.Next(); i++ {
					m.Count(ids[i%n], false, noon)
				}
			})
		})
	}
	run("one key", 1)
	run("10000 keys", len(ids))
}

func BenchmarkChanged(b *testing.B) {
	m := NewMeter()
	for i := range 10000 {
		m.Count(fmt.Sprint("key-", i), false, noon)
	}
	rows := m.TakeDirty()
	for b.Loop() {
		m.MarkDirty(rows)
		rows = m.TakeDirty()
	}
}
