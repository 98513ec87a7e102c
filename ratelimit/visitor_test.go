package ratelimit

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestVisitorID(t *testing.T) {
	var salt Salt
	now := epoch
	id := func(key, addr string) Visitor {
		a, _ := netip.ParseAddr(addr)
		return salt.VisitorID(now, key, a)
	}
	for _, same := range [][2]string{
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"},
		{"fe80::1%eth0", "fe80::2%eth1"},
		{"", "invalid"},
	} {
		if id("k", same[0]) != id("k", same[1]) {
			t.Errorf("%v are different visitors", same)
		}
	}
	seen := map[Visitor]string{}
	for _, key := range []string{"", "k", "\x00", strings.Repeat("k", 64), strings.Repeat("k", 1000)} {
		for _, addr := range []string{"", "192.0.2.1", "192.0.2.2", "0.0.0.0", "::", "2001:db8::1", "2001:db8:0:1::1", "c000:201::"} {
			v := id(key, addr)
			if other, ok := seen[v]; ok || v == (Visitor{}) {
				t.Errorf("%.5q at %s is the same visitor as %s", key, addr, other)
			}
			seen[v] = key + " at " + addr
		}
	}
	if other := new(Salt); other.VisitorID(now, "k", netip.Addr{}) == id("k", "") {
		t.Error("two salts are equal")
	}
}

func TestVisitorIDIsHMAC(t *testing.T) {
	secret := sha256.Sum256([]byte("secret"))
	for _, text := range []string{"", "text", strings.Repeat("text", 100)} {
		mac := hmac.New(sha256.New, secret[:])
		mac.Write([]byte(text))
		key := hmacKeyOf(secret)
		if got, want := key.sum(append(make([]byte, sha256.BlockSize), text...)), mac.Sum(nil); string(got[:]) != string(want[:16]) {
			t.Errorf("%x, want %x", got, want)
		}
	}
}

func TestSaltChangesDaily(t *testing.T) {
	var salt Salt
	at := func(text string) Visitor {
		now, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return salt.VisitorID(now, "k", netip.MustParseAddr("192.0.2.1"))
	}
	monday := at("2026-03-02T00:00:00Z")
	if monday.previous != (visitorID{}) || at("2026-03-02T23:59:59Z") != monday {
		t.Error("the visitor has changed during the day")
	}
	tuesday := at("2026-03-03T01:00:00+01:00")
	if tuesday.id == monday.id || tuesday.previous != monday.id {
		t.Error("the day begins at another time, or the previous ID is not known")
	}
	if at("2026-03-02T23:59:59Z") != tuesday {
		t.Error("an earlier time has brought back the salt of Monday")
	}
	if thursday := at("2026-03-05T12:00:00Z"); thursday.previous != (visitorID{}) || thursday.id == tuesday.id {
		t.Error("the salt of Tuesday is still known on Thursday")
	}
}

// All requests of a day have the same salt, also the first, concurrent ones.
func TestConcurrentSalt(t *testing.T) {
	var salt Salt
	for day := range 20 {
		var ids [8]Visitor
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() { ids[i] = salt.VisitorID(epoch.AddDate(0, 0, day), "k", netip.Addr{}) })
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] || (id.previous == visitorID{}) != (day == 0) {
				t.Fatalf("day %d: %v", day, ids)
			}
		}
	}
}

// A new day gives a visitor no new requests, for rates up to a day.
func TestNewDayDoesNotReplenish(t *testing.T) {
	for _, tc := range []struct {
		rate  Rate
		start time.Duration
	}{
		{Rate{20, time.Minute}, 18*time.Hour + 52*time.Minute}, // shortly before midnight
		{Rate{50, 24 * time.Hour}, 0},
	} {
		rate := tc.rate
		var salt Salt
		l, c := newLimiter(100), new(clock)
		addr := netip.MustParseAddr("2001:db8::1")
		c.advance(tc.start)
		var times []time.Time
		for range 15 * rate.Count {
			if l.Allow(c.now(), "k", salt.VisitorID(c.now(), "k", addr), Rate{}, rate).Allowed() {
				times = append(times, c.now())
			}
			c.advance(rate.Per / time.Duration(rate.Count) / 3)
		}
		checkWindows(t, rate, times)
		if v := salt.VisitorID(c.now(), "k", addr); v.previous == (visitorID{}) {
			t.Error("the day has not changed")
		}
		if k := l.shard("k").keys["k"]; k.visitors != 1 {
			t.Errorf("%d counters of one visitor", k.visitors)
		}
		l.check(t)
	}
}
