package sharedrate

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/ratelimit"
)

// Requests at three gates get the decisions of one local limiter at the same times: with rates of all magnitudes, that also change. A local
// limiter sometimes forgets visitors that are idle under the earlier of two rates, so either the rate of visitors changes or there are several.
func TestEqualsLocalLimiter(t *testing.T) {
	c := newClock()
	limiters := gates(t, 3, redistest.Start(t).URL(), c)
	for seed := range uint64(90) {
		rng := rand.New(rand.NewPCG(seed, 1))
		local, salt, key := ratelimit.New(0), new(ratelimit.Salt), "k"+strconv.FormatUint(seed, 10)
		next := func() ratelimit.Rate {
			if seed%3 == 0 {
				return randomRate(rng)
			}
			return ratelimit.Rate{Count: 1 + rng.IntN(20), Per: time.Second + time.Duration(rng.Int64N(int64(time.Minute)))} // often exceeded
		}
		keyRates, visitorRate := [6]ratelimit.Rate{}, next()
		for i := range keyRates {
			keyRates[i] = next()
		}
		for i := range 150 {
			key1, visitor1 := keyRates[rng.IntN(1+i/25)], visitorRate
			if seed%2 == 0 && rng.IntN(20) == 0 {
				visitorRate = next()
			}
			switch rng.IntN(8) {
			case 0:
				key1 = ratelimit.Rate{}
			case 1:
				visitor1 = ratelimit.Rate{}
			}
			n := 0
			if seed%2 == 1 {
				n = rng.IntN(4)
			}
			visitor := salt.VisitorID(c.now(), key, address(n))
			want := local.Allow(c.now(), key, visitor, key1, visitor1)
			gate := limiters[rng.IntN(len(limiters))]
			if got := gate.Allow(c.now(), key, visitor, key1, visitor1); got != want {
				t.Fatalf("seed %d, request %d with %s and %s:\n%+v, want\n%+v", seed, i, key1, visitor1, got, want)
			}
			switch {
			case want.RetryAfter > 1 && rng.IntN(4) == 0:
				c.advance(want.RetryAfter - time.Duration(rng.IntN(2)))
			case rng.IntN(50) == 0:
				c.advance(want.Reset)
			default:
				c.advance(time.Duration(rng.Int64N(2*int64(visitorRate.Per)/int64(visitorRate.Count) + 1)))
			}
		}
	}
	for _, l := range limiters {
		if !l.conn.Available() {
			t.Error("some decisions were local")
		}
	}
}

// The clocks of gates differ by 5 seconds. Visitors remain the same at the end of a day, too.
func TestClockSkew(t *testing.T) {
	c := newClock()
	server := redistest.Start(t)
	limiters := gates(t, 3, server.URL(), c)
	secrets := ratelimit.SharedSecrets{Day: epoch.Unix() / 86400, Previous: [32]byte{1}, Current: [32]byte{2}, Next: [32]byte{3}}
	tomorrow := ratelimit.SharedSecrets{Day: secrets.Day + 1, Previous: secrets.Current, Current: secrets.Next, Next: [32]byte{4}}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		key := "k" + strconv.FormatUint(seed, 10)
		rate := ratelimit.Rate{Count: 10, Per: time.Hour}
		local, localSalt, salts := ratelimit.New(0), new(ratelimit.Salt), [3]ratelimit.Salt{}
		localSalt.Share(&secrets)
		for i := range salts {
			salts[i].Share(&secrets)
		}
		midnight := time.Unix((secrets.Day+1)*86400, 0)
		c.set(midnight.Add(-20 * time.Second))
		for range 60 {
			if c.now().After(midnight) && rng.IntN(5) == 0 { // a heartbeat
				salts[rng.IntN(3)].Share(&tomorrow)
			}
			n := rng.IntN(3)
			addr, now := address(rng.IntN(3)), c.now().Add(time.Duration(n-1)*5*time.Second)
			want := local.Allow(c.now(), key, localSalt.VisitorID(c.now(), key, addr), ratelimit.Rate{}, rate)
			if got := limiters[n].Allow(now, key, salts[n].VisitorID(now, key, addr), ratelimit.Rate{}, rate); got != want {
				t.Fatalf("seed %d at %s: %+v, want %+v", seed, c.now(), got, want)
			}
			c.advance(time.Duration(rng.Int64N(int64(time.Second))))
		}
	}
}

// With the server's own clock, concurrent requests at all gates together are limited.
func TestConcurrentRequests(t *testing.T) {
	limiters := gates(t, 3, redistest.Start(t).URL(), nil)
	rate := ratelimit.Rate{Count: 30, Per: 30 * 24 * time.Hour}
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for _, l := range limiters {
		for range 4 {
			wg.Go(func() {
				for range 10 {
					if l.Allow(time.Now(), "k", ratelimit.Visitor{}, rate, ratelimit.Rate{}).Allowed() {
						allowed.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if allowed.Load() != 30 {
		t.Errorf("%d requests were allowed", allowed.Load())
	}
	if d := limiters[0].Allow(time.Now(), "k", ratelimit.Visitor{}, rate, ratelimit.Rate{}); d.Rejected != ratelimit.PerKey ||
		d.RetryAfter <= 0 || d.RetryAfter > 24*time.Hour || d.Remaining != 0 || d.Rate != rate {
		t.Errorf("%+v", d)
	}
}

// A key has a bounded number of visitors, which expire. Other keys and backends have counters of their own.
func TestMemory(t *testing.T) {
	server := redistest.Start(t)
	limiters := gates(t, 2, server.URL(), nil)
	limiters[0].visitors, limiters[1].backend = 10, "help"
	salt, client := new(ratelimit.Salt), server.Client()
	rate := ratelimit.Rate{Count: 1, Per: time.Hour}
	for i := range 30 {
		limiters[0].Allow(time.Now(), "k", salt.VisitorID(time.Now(), "k", address(i)), rate, ratelimit.Rate{})
		for _, l := range limiters {
			l.Allow(time.Now(), "k", salt.VisitorID(time.Now(), "k", address(i)), ratelimit.Rate{}, rate)
		}
	}
	for key, want := range map[string]int64{"docsgate:{k}:visitors1": 10, "docsgate:{help/k}:visitors1": 30} {
		if n := client.HLen(t.Context(), key).Val(); n != want {
			t.Errorf("%s has %d visitors, want %d", key, n, want)
		}
	}
	if n := client.ZCard(t.Context(), "docsgate:{k}:idle1").Val(); n != 10 {
		t.Errorf("%d visitors", n)
	}
	for _, key := range client.Keys(t.Context(), "*").Val() {
		if left := client.TTL(t.Context(), key).Val(); left <= 0 {
			t.Errorf("%s does not expire", key)
		}
	}
	// The oldest visitor was dropped, the newest was not.
	for i, want := range map[int]bool{0: true, 29: false} {
		visitor := salt.VisitorID(time.Now(), "k", address(i))
		if d := limiters[0].Allow(time.Now(), "k", visitor, ratelimit.Rate{}, rate); d.Allowed() != want {
			t.Errorf("visitor %d: %+v", i, d)
		}
	}
}

// If the clock of the server is set back, no counter needs more than its duration to be replenished.
func TestClockSetBack(t *testing.T) {
	c := newClock()
	l := gates(t, 1, redistest.Start(t).URL(), c)[0]
	rate := ratelimit.Rate{Count: 2, Per: time.Minute}
	for name, rates := range map[string][2]ratelimit.Rate{"key": {rate}, "visitor": {{}, rate}} {
		allow := func() ratelimit.Decision {
			return l.Allow(c.now(), name, ratelimit.Visitor{}, rates[0], rates[1])
		}
		allow()
		c.advance(-24 * time.Hour)
		if d := allow(); d.Allowed() || d.RetryAfter != 30*time.Second || d.Reset != time.Minute {
			t.Errorf("%s: %+v", name, d)
		}
		c.advance(time.Minute)
		if d := allow(); !d.Allowed() || d.Remaining != 1 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// A limit without rates needs no server.
func TestNoRates(t *testing.T) {
	l := New(connect(t, "redis://127.0.0.1:1", slow), "", ratelimit.New(0))
	if d := l.Allow(epoch, "k", ratelimit.Visitor{}, ratelimit.Rate{}, ratelimit.Rate{}); d != (ratelimit.Decision{}) {
		t.Errorf("%+v", d)
	}
}
