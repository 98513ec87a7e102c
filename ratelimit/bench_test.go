package ratelimit

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/alloctest"
)

func TestAllocations(t *testing.T) {
	var salt Salt
	l, c := newLimiter(1000), new(clock)
	v6, v4 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1")
	key := "key-of-a-length-that-is-usual"
	salt.VisitorID(c.now(), key, v4)
	c.advance(24 * time.Hour) // with a salt of the day before
	keyRate, visitorRate := Rate{600, time.Minute}, Rate{20, time.Minute}
	n := 0
	for name, f := range map[string]func(){
		"allowed and rejected": func() { l.Allow(c.now(), key, visitor(1), keyRate, visitorRate) },
		"new visitors": func() {
			n++
			l.Allow(c.now(), "key-2", visitor(n%200), Rate{}, visitorRate)
			c.advance(time.Second)
		},
		"evicted visitors": func() {
			n++
			l.Allow(c.now(), "key-3", visitor(n), Rate{}, Rate{20, 24 * time.Hour})
		},
		"visitor ID": func() {
			salt.VisitorID(c.now(), key, v6)
			salt.VisitorID(c.now(), key, v4)
		},
		"streams": func() {
			slot, _ := l.Acquire(key, visitor(1), 50, 2)
			slot.Release()
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5000 {
				f()
			}
			if n := alloctest.MinAllocs(1000, f); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// One request of a widget: the visitor, both limits, and a stream.
func BenchmarkRequest(b *testing.B) {
	for _, visitors := range []int{1, 1000, 45_000} {
		b.Run(fmt.Sprint("visitors=", visitors), func(b *testing.B) {
			var salt Salt
			l := New(0)
			keyRate, visitorRate := Rate{MaxCount, time.Second}, Rate{1_000_000, MaxPer} // not reached, and not replenished
			salt.VisitorID(time.Now().Add(-24*time.Hour), "docs-site", netip.Addr{})
			request := func(i int) {
				now := time.Now()
				addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
				v := salt.VisitorID(now, "docs-site", addr)
				l.Allow(now, "docs-site", v, keyRate, visitorRate)
				slot, _ := l.Acquire("docs-site", v, 50, 2)
				slot.Release()
			}
			for i := range visitors {
				request(i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i += 7919
				request(i % visitors)
			}
		})
	}
}

func BenchmarkAllow(b *testing.B) {
	keyRate, visitorRate := Rate{600, time.Minute}, Rate{20, time.Minute}
	var ids [1 << 16]Visitor
	for i := range ids {
		ids[i] = visitor(i)
	}
	for _, visitors := range []int{1, 1000, 45_000} {
		b.Run(fmt.Sprint("visitors=", visitors), func(b *testing.B) {
			l := New(0)
			for i := range visitors {
				l.Allow(time.Now(), "docs-site", ids[i], Rate{}, visitorRate)
			}
			b.ReportAllocs()
			now, i := time.Now(), 0
			for b.Loop() {
				now = now.Add(100 * time.Microsecond)
				i += 7919
				l.Allow(now, "docs-site", ids[i%visitors], keyRate, visitorRate)
			}
		})
	}
	b.Run("flood", func(b *testing.B) { // each visitor is new, and another is evicted
		l := New(0)
		now, i := time.Now(), 0
		for range 60_000 {
			i++
			l.Allow(now, "docs-site", visitor(i), Rate{}, visitorRate)
		}
		b.ReportAllocs()
		for b.Loop() {
			i++
			l.Allow(now, "docs-site", visitor(i), Rate{}, visitorRate)
		}
	})
	b.Run("parallel", func(b *testing.B) { // each goroutine with its own key
		l := New(0)
		var keys atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			key := fmt.Sprint("key-", keys.Add(1))
			now, i := time.Now(), 0
			for pb.Next() {
				i++
				l.Allow(now, key, ids[i%1000], keyRate, visitorRate)
			}
		})
	})
}
