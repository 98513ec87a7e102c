package sharedquota

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/countersync/countersynctest"
	"github.com/docsgate/docsgate/keys/quota"
)

// newGatesBehind returns connected gates, each behind a proxy. timeout is that of decisions of the first one.
func newGatesBehind(t *testing.T, n int, server *redistest.Server, timeout time.Duration) ([]*gate, []*feedtest.Proxy) {
	t.Helper()
	gates, proxies := make([]*gate, n), make([]*feedtest.Proxy, n)
	for i := range gates {
		proxies[i] = feedtest.NewProxy(t, server.Addr())
		gates[i] = newGate(t, "redis://"+proxies[i].Addr(), timeout, nil)
		gates[i].conn.Start()
		timeout = slow
	}
	waitForGates(t, gates)
	return gates, proxies
}

// While the server is unavailable, each gate admits an equal part of what is left. Afterwards all of that has been counted, also if the server
// has lost its data.
func TestOutage(t *testing.T) {
	for name, lost := range map[string]bool{"kept": false, "lost": true} {
		t.Run("data "+name, func(t *testing.T) {
			server := redistest.Start(t)
			gates, proxies := newGatesBehind(t, 3, server, slow)
			l := quota.Limits{QuestionsPerDay: 30, QuestionsPerMonth: 100}
			if n := admitted(gates, l, 6); n != 6 {
				t.Fatalf("%d questions before", n)
			}
			for _, p := range proxies {
				p.Refuse()
			}
			for i, g := range gates {
				if n := admitted(gates[i:i+1], l, 20); n != 8 || g.fallbacks.Load() == 0 {
					t.Errorf("gate %d has admitted %d of 24 questions, with %d decisions alone", i, n, g.fallbacks.Load())
				}
			}
			if lost {
				server.Restart()
			}
			for _, p := range proxies {
				p.Accept()
			}
			waitForGates(t, gates)
			l.QuestionsPerDay = 33
			if n := admitted(gates, l, 12); n != 3 {
				t.Errorf("%d of 3 questions after the outage", n)
			}
		})
	}
}

// The server does not respond to one gate. That admits its share, the others admit what is left. Afterwards no gate admits anything.
func TestOutageForOne(t *testing.T) {
	gates, proxies := newGatesBehind(t, 3, redistest.Start(t), time.Second)
	l := quota.Limits{QuestionsPerDay: 30}
	proxies[0].Blackhole()
	if n := admitted(gates[:1], l, 40); n != 10 {
		t.Errorf("the gate alone has admitted %d questions", n)
	}
	if n := admitted(gates[1:], l, 40); n != 30 {
		t.Errorf("the others have admitted %d questions", n)
	}
	proxies[0].Accept()
	waitForGates(t, gates)
	if n := admitted(gates, l, 30); n != 0 {
		t.Errorf("%d questions after the outage", n)
	}
}

// A share is at least one question, or one answer, if something is left.
func TestSmallShare(t *testing.T) {
	server := redistest.Start(t)
	gates := newGates(t, 3, server.URL(), nil)
	waitForGates(t, gates)
	l := quota.Limits{QuestionsPerDay: 2}
	server.Stop()
	if n := admitted(gates, l, 9); n != 3 {
		t.Errorf("%d questions, want one at each gate", n)
	}
	for _, g := range gates {
		r, d := g.Reserve(g.period(), "tokens", quota.Limits{TokensPerDay: 3000}, 0)
		if d.Rejected != quota.None {
			t.Errorf("%+v", d)
		}
		if _, d := g.Reserve(g.period(), "tokens", quota.Limits{TokensPerDay: 3000}, 0); d.Rejected != quota.TokensPerDay || !d.InFlight {
			t.Errorf("%+v", d)
		}
		r.Settle(g.period(), 1000)
		if _, d := g.Reserve(g.period(), "tokens", quota.Limits{TokensPerDay: 3000}, 0); d.Rejected != quota.TokensPerDay {
			t.Errorf("%+v", d)
		}
	}
}

// A new day begins during an outage.
func TestOutageAtMidnight(t *testing.T) {
	c, server := newClock(), redistest.Start(t)
	gates := newGates(t, 2, server.URL(), c)
	waitForGates(t, gates)
	l := quota.Limits{QuestionsPerDay: 10, QuestionsPerMonth: 16}
	server.Stop()
	if n := admitted(gates, l, 30); n != 10 {
		t.Errorf("%d questions on the first day", n)
	}
	c.advance(24 * time.Hour)
	if n := admitted(gates, l, 30); n != 6 {
		t.Errorf("%d questions on the second day, want what is left of the month", n)
	}
	server.Restart()
	waitForGates(t, gates)
	if n := admitted(gates, quota.Limits{QuestionsPerDay: 10, QuestionsPerMonth: 18}, 30); n != 2 {
		t.Errorf("%d questions after the outage", n)
	}
}

// After the loss of all data and of the scripts no quota is given back, although the gates have no key store in common.
func TestFlush(t *testing.T) {
	server := redistest.Start(t)
	gates, l := newGates(t, 3, server.URL(), nil), quota.Limits{QuestionsPerDay: 30}
	total := 0
	for range 10 {
		total += admitted(gates, l, 5)
		server.Client().ScriptFlush(t.Context())
		flush(t, server)
	}
	// Each gate knows the counts of its last question. What others have admitted since then, one question here, is unknown until they call.
	if total < 30 || total > 32 {
		t.Errorf("%d questions were admitted, want 30", total)
	}
	for _, g := range gates {
		if n := g.fallbacks.Load(); n > 0 {
			t.Errorf("%d decisions were local", n)
		}
	}
}

// After a failover the server has earlier counts. Each gate restores its own.
func TestFailoverToReplicaThatIsBehind(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	gates, l := newGates(t, 2, server.URL(), nil), quota.Limits{QuestionsPerDay: 20}
	admitted(gates, l, 4)
	const key = "docsgate:{k}:quota"
	earlier := client.Dump(t.Context(), key).Val()
	admitted(gates, l, 10)
	if err := client.RestoreReplace(t.Context(), key, 0, earlier).Err(); err != nil {
		t.Fatal(err)
	}
	each(gates, func(g *gate) {
		if err := g.reportRecent(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n := admitted(gates, l, 20); n != 6 {
		t.Errorf("%d of 6 questions", n)
	}
}

// A question that the server has counted, but whose response was lost, counts once or not at all, as the gate has decided.
func TestLostResponse(t *testing.T) {
	g := newGates(t, 1, redistest.Start(t).URL(), nil)[0]
	l := quota.Limits{QuestionsPerDay: 4}
	g.ask(l)
	k := g.keys["k"]
	q := &question{period: g.period(), limits: l}
	for range 3 {
		c := g.newCall(k, []*question{q})
		if _, err := g.conn.Run(t.Context(), script, c.Keys, c.Args...); err != nil {
			t.Fatal(err)
		}
	}
	g.decideAlone(k, q)
	if n := admitted([]*gate{g}, l, 8); n != 2 {
		t.Errorf("%d of 2 questions", n)
	}
}

// A call that the network has delayed, and that the server executes after later ones of the gate, does not set the counts back.
func TestDelayedCall(t *testing.T) {
	g := newGates(t, 2, redistest.Start(t).URL(), nil)
	l := quota.Limits{QuestionsPerDay: 4}
	g[0].ask(l)
	k := g[0].keys["k"]
	delayed := g[0].newCall(k, []*question{{period: g[0].period(), limits: l}})
	if n := admitted(g[:1], l, 2); n != 2 {
		t.Fatalf("%d of 2 questions", n)
	}
	result, err := g[0].conn.Run(t.Context(), script, delayed.Keys, delayed.Args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := g[0].apply(k, delayed, result, nil, time.Now()); !errors.Is(err, errResult) {
		t.Errorf("the result of a delayed call: %v, error %v", result, err)
	}
	if n := admitted(g[1:], l, 4); n != 1 {
		t.Errorf("another gate admits %d questions, want 1", n)
	}
}

// totals is a SharedStorage in memory. Its other methods must not be used.
type totals struct {
	quota.Storage // nil
	rows          *countersynctest.Memory[quota.Row]
}

func (totals) Name() string { return "totals" }

func (s totals) SharedQuotas() countersync.Storage[quota.Row] { return s.rows }

func (s totals) saver(t *testing.T, g *gate) *quota.Saver {
	t.Helper()
	saver := quota.NewSaver(quota.SaverOptions{
		Counter: g.local, Open: func(context.Context, bool) (quota.Storage, error) { return s, nil },
	})
	if err := saver.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	return saver
}

// An empty server begins with the totals of the key store. What another gate, which is killed, has added to them without the server is
// counted as soon as they are read.
func TestTotalsOfKeyStore(t *testing.T) {
	server := redistest.Start(t)
	gates, l := newGates(t, 2, server.URL(), nil), quota.Limits{QuestionsPerDay: 20}
	store := totals{rows: countersynctest.New(func(r quota.Row) string { return r.ID }, quota.Row.AddDelta, quota.Row.Expired)}
	store.rows.SetNow(time.Now())
	first, killed := store.saver(t, gates[0]), store.saver(t, gates[1])
	if n := admitted(gates, l, 10); n != 10 {
		t.Fatalf("%d questions", n)
	}
	server.Stop()
	wait(t, "the outage", func() bool { return slices.IndexFunc(gates, func(g *gate) bool { return g.conn.Available() }) < 0 })
	if n := admitted(gates[1:], l, 3); n != 3 {
		t.Errorf("%d of 3 questions during the outage", n)
	}
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	_ = gates[1].conn.Close()
	server.Restart()
	wait(t, "the server", gates[0].conn.Available)
	gates[0].ask(l)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { first.Run(ctx); close(done) }()
	wait(t, "the totals", func() bool { return gates[0].local.State(gates[0].period(), "k").Known.QuestionsDay == 14 })
	cancel()
	<-done
	if err := gates[0].report(t.Context(), gates[0].all(), time.Now().Add(confirmAfter), isDue); err != nil {
		t.Fatal(err)
	}
	other := newGates(t, 1, server.URL(), nil)
	if n := admitted(other, l, 20); n != 6 {
		t.Errorf("%d of 6 questions", n)
	}
}

// Gates lose their connections and the server its data at random, also while some gates are not connected, but not again before all are.
// Afterwards the server has counted each question once.
func TestRandomOutages(t *testing.T) {
	for seed := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, 0))
		server := redistest.Start(t)
		gates, proxies := newGatesBehind(t, 3, server, slow)
		l := quota.Limits{QuestionsPerDay: 1e6, TokensPerDay: 1e9}
		want := 0
		connect := func() {
			for _, p := range proxies {
				p.Accept()
			}
			for _, g := range gates {
				wait(t, "the server", g.conn.Available)
				if err := g.reportRecent(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		lost := false
		for range 250 {
			switch op := random.IntN(100); {
			case op < 3:
				proxies[random.IntN(3)].Refuse()
			case op < 10:
				proxies[random.IntN(3)].Accept()
			case op < 12:
				if lost {
					connect()
				}
				if lost = true; op == 10 {
					flush(t, server)
				} else {
					server.Restart()
				}
			case op < 20:
				time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
			case op < 30:
				var all sync.WaitGroup
				for _, g := range gates {
					all.Go(func() { g.ask(l) })
				}
				all.Wait()
				want += 3
			default:
				if !gates[random.IntN(3)].ask(l) {
					t.Fatal("a question was rejected")
				}
				want++
			}
		}
		connect()
		_, d := gates[0].Reserve(gates[0].period(), "k", l, 0)
		if got := l.QuestionsPerDay - d.Remaining - 1; got != int64(want) {
			t.Errorf("seed %d: %d questions are counted, want %d", seed, got, want)
		}
	}
}

// flush removes all data of a server.
func flush(t *testing.T, s *redistest.Server) {
	t.Helper()
	if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}
