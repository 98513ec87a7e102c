package ratelimit

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a fake clock. It may be read while it is changed.
type clock struct{ ns atomic.Int64 }

var epoch = time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)

func (c *clock) now() time.Time          { return epoch.Add(time.Duration(c.ns.Load())) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// newLimiter returns a limiter for times of a clock.
func newLimiter(maxVisitors int) *Limiter {
	l := New(maxVisitors)
	l.start = epoch
	return l
}

func visitor(n int) (v Visitor) {
	binary.BigEndian.PutUint64(v.id[:], uint64(n)+1)
	return v
}

// model is a token bucket with exact arithmetic. Tokens have the unit 1/Per.
type model struct {
	rate    Rate
	missing *big.Int // tokens that are used, times Per
	at      time.Time
}

func (m *model) allow(now time.Time) bool {
	if m.missing == nil {
		m.missing, m.at = new(big.Int), now
	}
	refill := big.NewInt(int64(now.Sub(m.at)))
	m.missing.Sub(m.missing, refill.Mul(refill, big.NewInt(int64(m.rate.Count))))
	if m.missing.Sign() < 0 {
		m.missing.SetInt64(0)
	}
	m.at = now
	one, all := big.NewInt(int64(m.rate.Per)), big.NewInt(int64(m.rate.Per))
	all.Mul(all, big.NewInt(int64(m.rate.Count)))
	next := new(big.Int).Add(m.missing, one)
	if next.Cmp(all) > 0 {
		return false
	}
	m.missing = next
	return true
}

// randomRate returns rates of all magnitudes. Most have an interval that is not a whole number of nanoseconds.
func randomRate(rng *rand.Rand) Rate {
	count := 1 + rng.Int64N(1<<rng.IntN(30))
	per := int64(MinPer) + rng.Int64N(int64(MaxPer-MinPer)>>rng.IntN(22)+1)
	return Rate{Count: int(min(count, MaxCount)), Per: time.Duration(per)}
}

// Every decision is that of a token bucket with exact arithmetic, and its fields describe what the next requests experience.
func TestAllowEqualsTokenBucket(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rate := randomRate(rng)
		if seed%2 == 0 {
			rate.Count = 1 + rng.IntN(50)
		}
		l, c, m := newLimiter(10), new(clock), &model{rate: rate}
		scope, keyRate, visitorRate := PerKey, rate, Rate{}
		if seed%3 == 0 {
			scope, keyRate, visitorRate = PerVisitor, Rate{}, rate
		}
		allow := func() Decision { return l.Allow(c.now(), "k", visitor(1), keyRate, visitorRate) }
		for range 400 {
			d, want := allow(), m.allow(c.now())
			if d.Allowed() != want || d.Limit != scope || d.Rate != rate || d.Remaining < 0 || d.Reset < 0 || d.Reset > rate.Per {
				t.Fatalf("seed %d, %s: %+v, want %v", seed, rate, d, want)
			}
			switch {
			case d.Allowed() != (d.RetryAfter == 0):
				t.Fatalf("seed %d, %s: %+v", seed, rate, d)
			case !d.Allowed() && rng.IntN(2) == 0: // the wait is exact
				c.advance(d.RetryAfter - 1)
				if m.allow(c.now()) || allow().Allowed() {
					t.Fatalf("seed %d, %s: allowed before %s", seed, rate, d.RetryAfter)
				}
				c.advance(1)
			case d.Remaining < 20 && rng.IntN(4) == 0: // exactly the remaining requests are allowed
				for i := range d.Remaining + 1 {
					if got, want := allow().Allowed(), m.allow(c.now()); got != want || got != (i < d.Remaining) {
						t.Fatalf("seed %d, %s: request %d of %d remaining: %v, want %v", seed, rate, i, d.Remaining, got, want)
					}
				}
			case rng.IntN(50) == 0: // fully replenished
				c.advance(d.Reset)
				if d := allow(); d.Remaining != rate.Count-1 || !m.allow(c.now()) {
					t.Fatalf("seed %d, %s: %d remain after the reset", seed, rate, d.Remaining)
				}
			default:
				c.advance(time.Duration(rng.Int64N(3*int64(rate.Per)/int64(rate.Count) + 1)))
			}
		}
	}
}

// A request is counted by both limits or by none.
func TestBothLimits(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		keyRate := Rate{1 + rng.IntN(30), time.Duration(1+rng.IntN(60)) * time.Second}
		visitorRate := Rate{1 + rng.IntN(10), time.Duration(1+rng.IntN(60)) * time.Second}
		l, c, key := newLimiter(100), new(clock), &model{rate: keyRate}
		visitors := [5]model{}
		for i := range visitors {
			visitors[i].rate = visitorRate
		}
		for range 1000 {
			n := rng.IntN(len(visitors))
			d := l.Allow(c.now(), "k", visitor(n), keyRate, visitorRate)
			keyBefore, visitorBefore := key.copy(), visitors[n].copy()
			keyOK, visitorOK := key.allow(c.now()), visitors[n].allow(c.now())
			if !keyOK || !visitorOK { // undo
				*key, visitors[n] = keyBefore, visitorBefore
			}
			if d.Allowed() != (keyOK && visitorOK) || d.Rejected == PerKey && keyOK || d.Rejected == PerVisitor && visitorOK {
				t.Fatalf("seed %d: %+v, key %v, visitor %v", seed, d, keyOK, visitorOK)
			}
			if d.Rejected != None {
				// The wait is that of both.
				k, v := key.copy(), visitors[n].copy()
				if at := c.now().Add(d.RetryAfter); !k.allow(at) || !v.allow(at) {
					t.Fatalf("seed %d: not allowed after %s", seed, d.RetryAfter)
				}
				if d.Limit != d.Rejected || d.Remaining != 0 {
					t.Fatalf("seed %d: %+v", seed, d)
				}
			}
			c.advance(time.Duration(rng.Int64N(int64(2 * time.Second))))
		}
	}
}

func (m *model) copy() model {
	c := *m
	if c.missing != nil {
		c.missing = new(big.Int).Set(c.missing)
	}
	return c
}

// The fields describe the tighter limit.
func TestDecisionDescribesTighterLimit(t *testing.T) {
	l, c := newLimiter(10), new(clock)
	minute := func(n int) Rate { return Rate{n, time.Minute} }
	for _, tc := range []struct {
		key, visitor Rate
		limit        Scope
		remaining    int
		reset        time.Duration
	}{
		{key: minute(10), visitor: minute(3), limit: PerVisitor, remaining: 2, reset: 20 * time.Second},
		{key: minute(2), visitor: minute(3), limit: PerKey, remaining: 1, reset: 30 * time.Second},
		{key: minute(2), limit: PerKey, remaining: 1, reset: 30 * time.Second},
		{visitor: minute(2), limit: PerVisitor, remaining: 1, reset: 30 * time.Second},
		{key: minute(2), visitor: Rate{2, time.Hour}, limit: PerVisitor, remaining: 1, reset: 30 * time.Minute},
		{},
	} {
		d := l.Allow(c.now(), fmt.Sprint(tc), visitor(1), tc.key, tc.visitor)
		if d.Limit != tc.limit || d.Remaining != tc.remaining || d.Reset != tc.reset || d.Rejected != None {
			t.Errorf("%+v: %+v", tc, d)
		}
	}
}

// Many goroutines get exactly what one would get.
func TestConcurrentRequests(t *testing.T) {
	const workers, keys = 8, 3
	keyRate, visitorRate := Rate{1000, time.Minute}, Rate{70, time.Minute}
	l, c := newLimiter(1000), new(clock)
	start := c.now()
	var mu sync.Mutex
	allowed := map[string]int{}
	for step := range 20 {
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(step), uint64(w)))
				for range 1500 {
					n, key := rng.IntN(20), fmt.Sprint("key-", rng.IntN(keys))
					if l.Allow(c.now(), key, visitor(n), keyRate, visitorRate).Allowed() {
						mu.Lock()
						allowed[key]++
						allowed[fmt.Sprint(key, "/", n)]++
						mu.Unlock()
					}
					if rng.IntN(100) == 0 {
						c.advance(time.Duration(rng.IntN(int(3 * time.Millisecond))))
					}
				}
			})
		}
		wg.Wait()
		elapsed := c.now().Sub(start)
		for key := range keys {
			bound := func(r Rate) int { return r.Count + int(int64(elapsed)*int64(r.Count)/int64(r.Per)) }
			key := fmt.Sprint("key-", key)
			if n := allowed[key]; n > bound(keyRate) {
				t.Fatalf("%s: %d requests in %s", key, n, elapsed)
			}
			// The last requests exhaust the key, so none that it allows is missing.
			for n := range 200 {
				if l.Allow(c.now(), key, visitor(1000+n), keyRate, Rate{}).Allowed() {
					allowed[key]++
				}
			}
			if n := allowed[key]; step > 0 && (n > bound(keyRate) || n < bound(keyRate)-1) {
				t.Fatalf("%s: %d requests in %s, want %d", key, n, elapsed, bound(keyRate))
			}
			for n := range 20 {
				if got := allowed[fmt.Sprint(key, "/", n)]; got > bound(visitorRate) {
					t.Fatalf("%s, visitor %d: %d requests in %s", key, n, got, elapsed)
				}
			}
		}
	}
}

// A request with an earlier time than another one counts as if it came later.
func TestTimeIsMonotonic(t *testing.T) {
	l, c, rate := newLimiter(10), new(clock), Rate{10, time.Second}
	for range 10 {
		l.Allow(c.now(), "k", visitor(1), rate, rate)
	}
	for _, at := range []time.Duration{-time.Hour, -time.Nanosecond, 0} {
		if d := l.Allow(c.now().Add(at), "k", visitor(1), rate, rate); d.Allowed() || d.RetryAfter != 100*time.Millisecond {
			t.Errorf("%s: %+v", at, d)
		}
	}
}

func TestChangedRate(t *testing.T) {
	minute := func(n int) Rate { return Rate{n, time.Minute} }
	for _, tc := range []struct {
		from      Rate
		used      int
		to        Rate
		remaining int
	}{
		{minute(600), 300, minute(20), 0},
		{minute(600), 5, minute(20), 15},
		{minute(20), 20, minute(600), 580},
		{minute(20), 7, minute(21), 14},
		{minute(20), 20, Rate{100, time.Second}, 80},
		{Rate{1000, 24 * time.Hour}, 900, minute(20), 0},
		{minute(7), 3, Rate{11, 17 * time.Second}, 8},
		{minute(1), 1, Rate{1, MaxPer}, 0},
		{Rate{MaxCount, MaxPer}, 3, Rate{MaxCount, time.Second}, MaxCount - 3},
	} {
		for _, scope := range []Scope{PerKey, PerVisitor} {
			l, c := newLimiter(10), new(clock)
			allow := func(r Rate) Decision {
				if scope == PerKey {
					return l.Allow(c.now(), "k", visitor(1), r, Rate{})
				}
				return l.Allow(c.now(), "k", visitor(1), Rate{}, r)
			}
			for range tc.used {
				allow(tc.from)
			}
			got := 0
			for got < min(tc.remaining, 1000) && allow(tc.to).Allowed() {
				got++
			}
			last := allow(tc.to)
			if got != min(tc.remaining, 1000) || last.Allowed() != (tc.remaining > 1000) {
				t.Errorf("%d of %s, then %s: %d, %+v, want %d", tc.used, tc.from, tc.to, got, last, tc.remaining)
			}
			if !last.Allowed() {
				// The wait is that of the new rate, and alternating between the rates gives nothing away.
				if want := tc.to.Per / time.Duration(tc.to.Count); last.RetryAfter > want+1 {
					t.Errorf("%s, then %s: retry after %s, want at most %s", tc.from, tc.to, last.RetryAfter, want)
				}
				for range 100 {
					allow(tc.from)
					if d := allow(tc.to); d.Allowed() {
						t.Fatalf("%s, then %s: %+v", tc.from, tc.to, d)
					}
				}
			}
		}
	}
}

// Each of several rates for the same key holds, whatever is requested with the others.
func TestAlternatingRates(t *testing.T) {
	rates := []Rate{{50, time.Minute}, {5, time.Second}, {100, time.Hour}}
	l, c, rng := newLimiter(100), new(clock), rand.New(rand.NewPCG(1, 1))
	var times [3][2][]time.Time
	for range 20_000 {
		i, scope := rng.IntN(3), rng.IntN(2)
		r := [2]Rate{}
		r[scope] = rates[i]
		if l.Allow(c.now(), "k", visitor(1), r[0], r[1]).Allowed() {
			times[i][scope] = append(times[i][scope], c.now())
		}
		c.advance(time.Duration(rng.IntN(int(200 * time.Millisecond))))
	}
	for i, r := range rates {
		for scope := range 2 {
			checkWindows(t, r, times[i][scope])
		}
	}
	// Of more rates than a key can have, one is forgotten.
	for n := range 100 {
		l.Allow(c.now(), "k", visitor(1), Rate{n + 1, time.Hour}, Rate{n + 1, time.Hour})
	}
	k := l.shard("k").keys["k"]
	if len(k.buckets) != maxRates || len(k.tables) != maxRates || k.visitors != maxRates || l.Stats().Visitors != maxRates {
		t.Errorf("%d buckets, %d tables, %d visitors, %+v", len(k.buckets), len(k.tables), k.visitors, l.Stats())
	}
}

// checkWindows fails if more requests than the rate allows were allowed in any window.
func checkWindows(t *testing.T, r Rate, times []time.Time) {
	t.Helper()
	if len(times) < r.Count {
		t.Errorf("%s: only %d requests", r, len(times))
	}
	for i := range times {
		for j := i; j < len(times) && j < i+3*r.Count; j++ {
			if window := times[j].Sub(times[i]); j-i+1 > r.Count+int(int64(window)*int64(r.Count)/int64(r.Per)) {
				t.Fatalf("%s: %d requests in %s", r, j-i+1, window)
			}
		}
	}
}
