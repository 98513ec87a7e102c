package sharedrate

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/sharedlimits"
)

// fallbacks counts decisions by shares.
type fallbacks struct{ requests, streams atomic.Int64 }

func (*fallbacks) RoundTrip(time.Duration) {}
func (f *fallbacks) Fallback(limit string) {
	if limit == "streams" {
		f.streams.Add(1)
	} else {
		f.requests.Add(1)
	}
}

// gateBehind returns a gate with a short timeout behind a proxy, and the decisions that it makes by shares.
func gateBehind(t *testing.T, proxy *feedtest.Proxy) (*Limiter, *fallbacks) {
	t.Helper()
	address, err := sharedlimits.ParseAddress("redis://"+proxy.Addr(), false)
	if err != nil {
		t.Fatal(err)
	}
	var f fallbacks
	conn, err := sharedlimits.New(sharedlimits.Options{Address: address, Timeout: time.Second, Observer: &f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l := New(conn, "", ratelimit.New(0))
	t.Cleanup(l.Close)
	conn.Start()
	return l, &f
}

// While the server is unavailable, a gate allows its share of the limit, and neither more nor nothing. Afterwards the counters of all
// gates apply again.
func TestFallbackRequests(t *testing.T) {
	for name, fault := range map[string]func(*feedtest.Proxy){"refused": (*feedtest.Proxy).Refuse, "stalled": (*feedtest.Proxy).Blackhole} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			others := gates(t, 2, server.URL(), nil)
			proxy := feedtest.NewProxy(t, server.Addr())
			l, f := gateBehind(t, proxy)
			wait(t, "three gates", func() bool { return l.conn.Available() && l.conn.Nodes() == 3 })
			rate := ratelimit.Rate{Count: 9, Per: 24 * time.Hour}
			allow := func(l *Limiter) ratelimit.Decision {
				return l.Allow(time.Now(), "k", ratelimit.Visitor{}, rate, ratelimit.Rate{})
			}
			wait(t, "a shared decision", func() bool { d := allow(others[0]); return d.Rate.Count == 9 })
			for range 7 {
				allow(others[1])
			}
			fault(proxy)
			wait(t, "a decision by the share", func() bool { return allow(l).Rate.Count == 3 })
			allowed := 1
			for range 20 {
				d := allow(l)
				if d.Rate.Count != 3 {
					t.Fatalf("%+v", d)
				}
				if d.Allowed() {
					allowed++
				}
			}
			if allowed != 3 || f.requests.Load() < 20 {
				t.Errorf("%d requests were allowed in %d decisions", allowed, f.requests.Load())
			}
			proxy.Accept()
			wait(t, "a shared decision", func() bool { d := allow(l); return d.Rate.Count == 9 && !d.Allowed() })
			if d := allow(others[0]); d.Allowed() {
				t.Error("the gates do not share their limits")
			}
		})
	}
}

// After the loss of all data and of the scripts decisions are shared again.
func TestDataLoss(t *testing.T) {
	server := redistest.Start(t)
	limiters := gates(t, 2, server.URL(), nil)
	rate := ratelimit.Rate{Count: 3, Per: 24 * time.Hour}
	allowed := func() (n int) {
		for i := range 10 {
			if limiters[i%2].Allow(time.Now(), "k", ratelimit.Visitor{}, rate, ratelimit.Rate{}).Allowed() {
				n++
			}
		}
		return n
	}
	if n := allowed(); n != 3 {
		t.Fatalf("%d requests were allowed", n)
	}
	server.Client().ScriptFlush(t.Context())
	if n := allowed(); n != 0 {
		t.Errorf("%d requests were allowed after the loss of the scripts", n)
	}
	flush(t, server)
	if n := allowed(); n != 3 {
		t.Errorf("%d requests were allowed after the loss of all data", n)
	}
	server.Restart()
	for _, l := range limiters {
		wait(t, "a shared decision", func() bool {
			return l.Allow(time.Now(), "other", ratelimit.Visitor{}, rate, ratelimit.Rate{}).Rate.Count == 3
		})
	}
}

// All keys of a decision are in one slot of a Redis Cluster.
func TestCluster(t *testing.T) {
	servers := redistest.StartCluster(t)
	limiters := gates(t, 2, servers[0].URL()+"?cluster=true", nil)
	salt, rate := new(ratelimit.Salt), ratelimit.Rate{Count: 2, Per: 24 * time.Hour}
	for _, key := range []string{"a", "b", "c", "web-1", "d#2/24h"} {
		visitor := salt.VisitorID(time.Now(), key, address(1))
		for i := range 3 {
			if d := limiters[i%2].Allow(time.Now(), key, visitor, rate, rate); d.Allowed() != (i < 2) || d.Rate != rate {
				t.Errorf("%s, request %d: %+v", key, i, d)
			}
		}
	}
}
