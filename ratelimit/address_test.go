package ratelimit

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/alloctest"
)

func TestAddressLimiter(t *testing.T) {
	l := NewAddressLimiter(0)
	now := time.Now()
	rate := Rate{Count: 3, Per: time.Minute}
	for _, c := range []struct{ first, same, other string }{
		{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"},
		{"2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"},
	} {
		first, same, other := netip.MustParseAddr(c.first), netip.MustParseAddr(c.same), netip.MustParseAddr(c.other)
		for i := range rate.Count {
			if wait := l.Wait(now, same, rate); wait != 0 {
				t.Fatalf("%s: event %d must wait %v", c.first, i, wait)
			}
			if wait := l.Count(now, first, rate); wait != 0 {
				t.Fatalf("%s: event %d is rejected for %v", c.first, i, wait)
			}
		}
		for range 2 { // neither counts
			if a, b := l.Wait(now, same, rate), l.Count(now, same, rate); a != 20*time.Second || b != a {
				t.Errorf("%s: must wait %v, %v", c.first, a, b)
			}
		}
		if wait := l.Wait(now, other, rate); wait != 0 {
			t.Errorf("%s must wait %v", c.other, wait)
		}
		if wait := l.Wait(now.Add(20*time.Second), first, rate); wait != 0 {
			t.Errorf("%s must still wait %v", c.first, wait)
		}
		if wait := l.Wait(now, first, Rate{}) + l.Count(now, first, Rate{}); wait != 0 {
			t.Errorf("without a rate: %v", wait)
		}
	}
}

func TestAddressLimiterMemory(t *testing.T) {
	const most = 1000
	l := NewAddressLimiter(most)
	now := time.Now()
	rate := Rate{Count: 3, Per: time.Hour}
	for i := range uint32(5 * most) {
		l.Count(now, netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, i))), rate)
	}
	if n := l.Stats().Visitors; n > most || n < most/2 {
		t.Errorf("%d addresses are stored", n)
	}
	addr := netip.MustParseAddr("192.0.2.1")
	l.Count(now, addr, rate)
	if n := alloctest.MinAllocs(100, func() { l.Wait(now, addr, rate) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
