package sharedrate

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/ratelimit"
)

// Streams at three gates are those of one local limiter.
func TestStreamsEqualLocalLimiter(t *testing.T) {
	c := newClock()
	server := redistest.Start(t)
	limiters := gates(t, 3, server.URL(), c)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		local, salt, key := ratelimit.New(0), new(ratelimit.Salt), "k"+strconv.FormatUint(seed, 10)
		type pair struct{ shared, local *ratelimit.Slot }
		var open []pair
		for i := range 150 {
			if len(open) > 0 && rng.IntN(3) == 0 {
				n := rng.IntN(len(open))
				open[n].shared.Release()
				open[n].shared.Release() // does nothing
				open[n].local.Release()
				open = append(open[:n], open[n+1:]...)
				for _, l := range limiters {
					l.flush(t.Context())
				}
			}
			keyStreams, visitorStreams := rng.IntN(8)-1, rng.IntN(4)
			visitor := salt.VisitorID(c.now(), key, address(rng.IntN(3)))
			wantSlot, want := local.Acquire(key, visitor, keyStreams, visitorStreams)
			slot, got := limiters[rng.IntN(3)].Acquire(key, visitor, keyStreams, visitorStreams)
			if got != want || (slot != ratelimit.Slot{}) != (got == ratelimit.None) {
				t.Fatalf("seed %d, stream %d with limits %d and %d: %d, want %d", seed, i, keyStreams, visitorStreams, got, want)
			}
			if got == ratelimit.None {
				open = append(open, pair{&slot, &wantSlot})
			}
			if rng.IntN(20) == 0 {
				c.advance(streamLease / 4)
				for _, l := range limiters {
					l.renew(t.Context())
				}
			}
		}
		for _, p := range open {
			p.shared.Release()
		}
	}
	for _, l := range limiters {
		l.flush(t.Context())
		l.renew(t.Context())
		if len(l.streams.keys) > 0 {
			t.Errorf("%d keys remain", len(l.streams.keys))
		}
	}
	if n := server.Client().DBSize(t.Context()).Val(); n != 2 { // gates and secrets
		t.Errorf("%d keys remain: %q", n, server.Client().Keys(t.Context(), "*").Val())
	}
}

// The limits hold for concurrent streams at all gates, and all of them are released.
func TestConcurrentStreams(t *testing.T) {
	const keyStreams, visitorStreams = 6, 2
	server := redistest.Start(t)
	limiters, salt := gates(t, 3, server.URL(), nil), new(ratelimit.Salt)
	var open [4]atomic.Int64
	var wg sync.WaitGroup
	for w := range 9 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 6))
			for range 60 {
				n := rng.IntN(len(open))
				slot, reached := limiters[w%3].Acquire("k", salt.VisitorID(epoch, "k", address(n)), keyStreams, visitorStreams)
				if reached != ratelimit.None {
					continue
				}
				total := open[n].Add(1)
				if total > visitorStreams {
					t.Errorf("%d streams of a visitor", total)
				}
				for i := range open {
					if i != n {
						total += open[i].Load()
					}
				}
				if total > keyStreams {
					t.Errorf("%d streams of the key", total)
				}
				open[n].Add(-1)
				slot.Release()
			}
		})
	}
	wg.Wait()
	for _, l := range limiters {
		l.flush(t.Context())
	}
	wait(t, "no streams", func() bool { return server.Client().Exists(t.Context(), "docsgate:{k}:streams").Val() == 0 })
}

// acquire opens a stream of one visitor and checks the result.
func acquire(t *testing.T, l *Limiter, keyStreams int, want ratelimit.Scope) *ratelimit.Slot {
	t.Helper()
	slot, got := l.Acquire("k", ratelimit.Visitor{}, keyStreams, 0)
	if got != want {
		t.Fatalf("%d, want %d", got, want)
	}
	return &slot
}

// A client that begins a stream as soon as its last one has ended is not rejected, although the server is informed of the end in the
// background.
func TestStreamAfterStream(t *testing.T) {
	server := redistest.Start(t)
	l := gates(t, 1, server.URL(), newClock())[0]
	visitor := new(ratelimit.Salt).VisitorID(time.Now(), "key", address(1))
	for i := range 500 {
		slot, reached := l.Acquire("key", visitor, 1, 1)
		if reached != ratelimit.None {
			t.Fatalf("stream %d: %d", i, reached)
		}
		slot.Release()
	}
}

// The streams of a killed gate count until the end of its lease. A gate that lives renews its lease.
func TestStreamsOfKilledGate(t *testing.T) {
	c := newClock()
	limiters := gates(t, 2, redistest.Start(t).URL(), c)
	acquire(t, limiters[0], 2, ratelimit.None)
	acquire(t, limiters[1], 2, ratelimit.None)
	for i := range 2 {
		c.advance(streamLease - time.Millisecond)
		acquire(t, limiters[1], 2, ratelimit.PerKey)
		limiters[1].renew(t.Context())
		if i == 0 {
			limiters[0].renew(t.Context())
		}
	}
	c.advance(time.Millisecond)
	acquire(t, limiters[1], 2, ratelimit.None)
	acquire(t, limiters[1], 2, ratelimit.PerKey)
	limiters[0].renew(t.Context()) // it was only partitioned
	acquire(t, limiters[1], 3, ratelimit.PerKey)
}

// After an outage and after the loss of all data the server knows the streams that are open, and not those that were closed meanwhile.
func TestStreamsAfterOutage(t *testing.T) {
	for name, fault := range map[string]func(*feedtest.Proxy){"refused": (*feedtest.Proxy).Refuse, "stalled": (*feedtest.Proxy).Blackhole} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			other := gates(t, 1, server.URL(), nil)[0]
			proxy := feedtest.NewProxy(t, server.Addr())
			l, f := gateBehind(t, proxy)
			wait(t, "two gates", func() bool { return l.conn.Available() && l.conn.Nodes() == 2 })
			closed := acquire(t, l, 6, ratelimit.None)
			acquire(t, l, 6, ratelimit.None)
			acquire(t, other, 6, ratelimit.None)
			fault(proxy)
			slot := acquire(t, l, 6, ratelimit.None) // the third of three
			acquire(t, l, 6, ratelimit.PerKey)
			if f.streams.Load() == 0 || l.conn.Available() {
				t.Error("the server is available")
			}
			closed.Release()
			slot.Release()
			acquire(t, l, 6, ratelimit.None)
			proxy.Accept()
			wait(t, "the server", l.conn.Available)
			for range 3 { // two here and one there are open
				acquire(t, other, 6, ratelimit.None)
			}
			acquire(t, other, 6, ratelimit.PerKey)

			flush(t, server)
			wait(t, "the streams are known again", func() bool {
				slot, reached := other.Acquire("k", ratelimit.Visitor{}, 6, 0)
				slot.Release()
				return reached == ratelimit.PerKey
			})
		})
	}
}

// A count that is wrong, since a response was lost, is corrected when the lease is renewed.
func TestWrongCounts(t *testing.T) {
	server := redistest.Start(t)
	l := gates(t, 1, server.URL(), nil)[0]
	acquire(t, l, 5, ratelimit.None)
	ids := (&ratelimit.Visitor{}).IDs()
	args := append(l.streamArgs("acquire"), 0, 0, ids.Current[:])
	if _, err := l.conn.Run(context.Background(), streamsScript, l.streamKeys("k"), args...); err != nil {
		t.Fatal(err)
	}
	acquire(t, l, 2, ratelimit.PerKey)
	l.renew(t.Context())
	acquire(t, l, 2, ratelimit.None)
}

// Streams that were opened without shared limits count after the first renewal.
func TestStreamsOfEarlierConfiguration(t *testing.T) {
	server := redistest.Start(t)
	limiters := gates(t, 2, server.URL(), nil)
	slot, _ := limiters[0].local.Acquire("k", ratelimit.Visitor{}, 0, 0)
	limiters[0].renew(t.Context())
	acquire(t, limiters[1], 1, ratelimit.PerKey)
	slot.Release()
	limiters[0].renew(t.Context())
	acquire(t, limiters[1], 1, ratelimit.None)
}
