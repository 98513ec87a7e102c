package sharedquota

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/sharedlimits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a timeout that a busy machine keeps.
const slow = 20 * time.Second

// epoch is the noon before the last day of a month.
var epoch = time.Date(2050, 3, 30, 12, 0, 0, 0, time.UTC)

var utc = quota.NewCalendar(nil)

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

// fallbacks counts decisions by shares.
type fallbacks struct{ atomic.Int64 }

func (*fallbacks) RoundTrip(time.Duration) {}
func (f *fallbacks) Fallback(string)       { f.Add(1) }

// gate is a gate with a limiter.
type gate struct {
	*Limiter
	fallbacks
	skew time.Duration // of its clock
}

// newGate returns a gate that is not connected yet. With a clock that is the server's, too.
func newGate(t testing.TB, url string, timeout time.Duration, c *clock) *gate {
	t.Helper()
	address, err := sharedlimits.ParseAddress(url, false)
	if err != nil {
		t.Fatal(err)
	}
	g := new(gate)
	conn, err := sharedlimits.New(sharedlimits.Options{Address: address, Timeout: timeout, Observer: &g.fallbacks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	g.Limiter = New(conn, "", quota.New())
	if c != nil {
		g.clock = c.now
	}
	t.Cleanup(g.Close)
	return g
}

// newGates returns connected gates with one server.
func newGates(t testing.TB, n int, url string, c *clock) []*gate {
	t.Helper()
	gates := make([]*gate, n)
	for i := range gates {
		gates[i] = newGate(t, url, slow, c)
		gates[i].conn.Start()
	}
	for _, g := range gates {
		wait(t, "the server", g.conn.Available)
	}
	return gates
}

// waitForGates waits until all gates know their number.
func waitForGates(t *testing.T, gates []*gate) {
	t.Helper()
	for _, g := range gates {
		wait(t, "all gates", func() bool { return g.conn.Available() && g.conn.Nodes() == len(gates) })
	}
}

func wait(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(feedtest.Timeout); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
	}
}

// period returns the current period by the clock of the gate.
func (g *gate) period() *quota.Period {
	now := time.Now()
	if g.clock != nil {
		now = g.clock()
	}
	return utc.At(now.Add(g.skew))
}

// ask asks a question of key k without tokens, and reports whether it was admitted.
func (g *gate) ask(l quota.Limits) bool {
	r, d := g.Reserve(g.period(), "k", l, 0)
	r.Settle(g.period(), 0)
	return d.Rejected == quota.None
}

// admitted asks questions at all gates in turn, and returns how many were admitted.
func admitted(gates []*gate, l quota.Limits, questions int) (n int) {
	for i := range questions {
		if gates[i%len(gates)].ask(l) {
			n++
		}
	}
	return n
}

// reportChanges informs the server about everything that has changed.
func (g *gate) reportChanges() { _ = g.report(context.Background(), g.all(), time.Now(), isChanged) }

// renewLeases informs the server about all keys.
func (g *gate) renewLeases() {
	_ = g.report(context.Background(), g.all(), time.Now(), func(*key, *quota.State, time.Time) bool { return true })
}

// each calls f for each gate.
func each(gates []*gate, f func(*gate)) {
	for _, g := range gates {
		f(g)
	}
}
