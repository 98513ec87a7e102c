package sharedrate

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/sharedlimits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a timeout that a busy machine keeps.
const slow = 20 * time.Second

// epoch is a time with nanoseconds, in the future: the time of a local limiter never moves back.
var epoch = time.Date(2050, 3, 4, 5, 6, 7, 123456789, time.UTC)

// clock is a fake clock of all gates and of the server. It is safe for concurrent use.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := new(clock)
	c.set(epoch)
	return c
}

func (c *clock) now() time.Time          { return *c.at.Load() }
func (c *clock) set(t time.Time)         { c.at.Store(&t) }
func (c *clock) advance(d time.Duration) { c.set(c.now().Add(d)) }

// connect returns a connection, which is closed when the test ends.
func connect(t testing.TB, url string, timeout time.Duration) *sharedlimits.Conn {
	t.Helper()
	address, err := sharedlimits.ParseAddress(url, false)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := sharedlimits.New(sharedlimits.Options{Address: address, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// gates returns the limiters of n gates with one server. With a clock that is the server's, too.
func gates(t testing.TB, n int, url string, c *clock) []*Limiter {
	t.Helper()
	limiters := make([]*Limiter, n)
	for i := range limiters {
		conn := connect(t, url, slow)
		l := New(conn, "", ratelimit.New(0))
		if c != nil {
			l.clock = c.now
		}
		limiters[i] = l
		t.Cleanup(l.Close)
		conn.Start()
	}
	for _, l := range limiters {
		wait(t, "the server", l.conn.Available)
	}
	return limiters
}

func wait(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(feedtest.Timeout); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
	}
}

// address returns the address of a visitor.
func address(n int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(n)+1)
	return netip.AddrFrom4(a)
}

// randomRate returns rates of all magnitudes. Most have an interval that is not a whole number of nanoseconds.
func randomRate(rng *rand.Rand) ratelimit.Rate {
	count := 1 + rng.Int64N(1<<rng.IntN(30))
	per := int64(ratelimit.MinPer) + rng.Int64N(int64(ratelimit.MaxPer-ratelimit.MinPer)>>rng.IntN(22)+1)
	return ratelimit.Rate{Count: int(min(count, ratelimit.MaxCount)), Per: time.Duration(per)}
}

// flush removes all data of a server.
func flush(t testing.TB, s *redistest.Server) {
	t.Helper()
	if err := s.Client().FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}
