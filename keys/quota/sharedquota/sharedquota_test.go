package sharedquota

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/keys/quota"
)

// randomLimits returns limits that some dozens of questions reach.
func randomLimits(random *rand.Rand) (l quota.Limits) {
	l.QuestionsPerDay = random.Int64N(25)
	if random.IntN(2) == 0 {
		l.QuestionsPerMonth = random.Int64N(60)
	}
	if random.IntN(2) == 0 {
		l.TokensPerDay = random.Int64N(20_000)
	}
	return l
}

// A random history at one gate has the decisions of a local counter. At several gates that report everything it has them, too, except for
// the number of tokens to reserve, which is the mean of each gate; so there all answers reserve and cost the same.
func TestEqualsLocalCounter(t *testing.T) {
	url := redistest.Start(t).URL()
	c := newClock()
	gates := newGates(t, 3, url, c)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		key, local, used := fmt.Sprint("k", seed), quota.New(), gates[:1]
		if seed%2 == 1 {
			used = gates
		}
		c.set(epoch.Add(time.Duration(random.IntN(48)) * time.Hour))
		newLimits := func() quota.Limits {
			l := randomLimits(random)
			if len(used) > 1 { // otherwise other gates know the reserved tokens only after a question with a limit of tokens
				l.TokensPerDay = max(l.TokensPerDay, 1)
			}
			return l
		}
		limits := newLimits()
		type answer struct {
			gate          *gate
			shared, local quota.Reservation
		}
		type estimate struct {
			gate          *gate
			shared, local quota.Estimate
		}
		var answers []answer
		var estimates []estimate
		for i := range 150 {
			p := utc.At(c.now())
			cost := int64(2000)
			if len(used) == 1 {
				cost = random.Int64N(3000)
			}
			switch op := random.IntN(12); {
			case op < 6:
				dryRun := quota.Set(0)
				if random.IntN(5) == 0 {
					dryRun = quota.Of(quota.Limit(1 + random.IntN(3)))
				}
				g := used[random.IntN(len(used))]
				wantReservation, want := local.Reserve(p, key, limits, dryRun)
				reservation, got := g.Reserve(p, key, limits, dryRun)
				if got != want || reservation.IsZero() != wantReservation.IsZero() || reservation.Tokens() != wantReservation.Tokens() {
					t.Fatalf("seed %d, operation %d, %+v:\n%+v, %d tokens, want\n%+v, %d tokens", seed, i, limits, got, reservation.Tokens(), want,
						wantReservation.Tokens())
				}
				if want.Rejected == quota.None {
					answers = append(answers, answer{g, reservation, wantReservation})
				}
			case op < 9 && len(answers) > 0:
				n := random.IntN(len(answers))
				a := answers[n]
				answers = append(answers[:n], answers[n+1:]...)
				switch op {
				case 6:
					a.shared.Settle(p, cost)
					a.local.Settle(p, cost)
				case 7:
					a.shared.Release()
					a.local.Release()
				default:
					estimates = append(estimates, estimate{a.gate, a.shared.SettleEstimate(p, cost), a.local.SettleEstimate(p, cost)})
				}
				if len(used) > 1 || random.IntN(2) == 0 { // one gate does not need it
					a.gate.reportChanges()
				}
			case op == 9 && len(estimates) > 0:
				e := estimates[len(estimates)-1]
				estimates = estimates[:len(estimates)-1]
				e.shared.Correct(cost)
				e.local.Correct(cost)
				e.gate.reportChanges()
			case op == 10:
				limits = newLimits()
			case op == 11 && random.IntN(4) == 0:
				c.advance(time.Duration(random.Int64N(int64(20 * time.Hour))))
				each(used, (*gate).renewLeases)
			}
		}
		for _, a := range answers {
			a.shared.Release()
		}
	}
	for _, g := range gates {
		if n := g.fallbacks.Load(); n > 0 {
			t.Errorf("%d decisions were local", n)
		}
	}
}

// Concurrent questions at three gates, of which some are released again, are admitted up to the limit, and not one more.
func TestConcurrentQuestions(t *testing.T) {
	const limit = 200
	server := redistest.Start(t)
	gates, l := newGates(t, 3, server.URL(), nil), quota.Limits{QuestionsPerDay: limit}
	var open, most, forwarded atomic.Int64
	var all sync.WaitGroup
	for w := range 24 {
		all.Go(func() {
			g, random := gates[w%3], rand.New(rand.NewPCG(uint64(w), 0))
			for range 20 {
				r, d := g.Reserve(g.period(), "k", l, 0)
				if d.Rejected != quota.None {
					continue
				}
				n := open.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if random.IntN(4) == 0 {
					open.Add(-1)
					r.Release()
				} else {
					forwarded.Add(1)
					r.Settle(g.period(), 10)
				}
			}
		})
	}
	all.Wait()
	if most.Load() > limit {
		t.Errorf("%d questions were admitted at the same time", most.Load())
	}
	each(gates, (*gate).reportChanges)
	rest := admitted(gates, l, 2*limit)
	if got := int(forwarded.Load()) + rest; got != limit {
		t.Errorf("%d questions were admitted, want %d", got, limit)
	}
}

// Answers at different gates reserve tokens together.
func TestConcurrentTokens(t *testing.T) {
	gates, l := newGates(t, 3, redistest.Start(t).URL(), nil), quota.Limits{TokensPerDay: 10_000}
	var reservations []quota.Reservation
	for i := range 12 {
		g := gates[i%3]
		r, d := g.Reserve(g.period(), "k", l, 0)
		if want := i >= 5; (d.Rejected == quota.TokensPerDay) != want || d.InFlight != want { // 2000 are reserved for each
			t.Fatalf("question %d: %+v", i, d)
		}
		if d.Rejected == quota.None {
			reservations = append(reservations, r)
		}
	}
	for i := range reservations {
		reservations[i].Settle(gates[0].period(), 1000)
	}
	wait(t, "the server knows the tokens of the answers", func() bool {
		r, d := gates[2].Reserve(gates[2].period(), "k", l, 0)
		r.Release()
		return d.Rejected == quota.None
	})
}

// A client that asks as soon as its last answer has ended is not rejected, although the end is reported in the background.
func TestQuestionAfterAnswer(t *testing.T) {
	g := newGates(t, 1, redistest.Start(t).URL(), nil)[0]
	l := quota.Limits{QuestionsPerDay: 1, TokensPerDay: 1}
	for i := range 200 {
		r, d := g.Reserve(g.period(), "k", l, 0)
		if d.Rejected != quota.None {
			t.Fatalf("question %d: %+v", i, d)
		}
		r.Release()
	}
}

// The tokens that a killed gate has reserved are free after its lease, and its questions remain counted. A gate that lives renews its lease.
func TestKilledGate(t *testing.T) {
	c := newClock()
	gates, l := newGates(t, 2, redistest.Start(t).URL(), c), quota.Limits{QuestionsPerDay: 3, TokensPerDay: 4000}
	for _, g := range gates {
		if _, d := g.Reserve(g.period(), "k", l, 0); d.Rejected != quota.None {
			t.Fatalf("%+v", d)
		}
	}
	check := func(when string, want quota.Limit, left int64) {
		t.Helper()
		r, d := gates[1].Reserve(gates[1].period(), "k", l, 0)
		if d.Rejected != want || want == quota.None && d.Remaining != left {
			t.Errorf("%s: %+v", when, d)
		}
		r.Release()
	}
	c.advance(lease - time.Millisecond)
	each(gates, (*gate).renewLeases)
	c.advance(lease - time.Millisecond)
	gates[1].renewLeases()
	check("before the end of the lease", quota.TokensPerDay, 0)
	c.advance(time.Millisecond)
	check("after the end of the lease", quota.None, 0)
}

// Clocks differ by 5 seconds. At midnight no gate gets the quota of a day twice, or that of the day before again.
func TestClockSkew(t *testing.T) {
	for _, midnight := range []time.Time{time.Date(2050, 3, 31, 0, 0, 0, 0, time.UTC), time.Date(2050, 4, 1, 0, 0, 0, 0, time.UTC)} {
		c := newClock()
		gates, l := newGates(t, 3, redistest.Start(t).URL(), c), quota.Limits{QuestionsPerDay: 10}
		gates[0].skew, gates[2].skew = 5*time.Second, -5*time.Second
		total := 0
		for second := -20; second < 20; second++ {
			c.set(midnight.Add(time.Duration(second) * time.Second))
			total += admitted(gates, l, 6)
			each(gates, (*gate).reportChanges)
		}
		if total != 20 {
			t.Errorf("%s: %d questions were admitted on two days, want 20", midnight, total)
		}
		if _, d := gates[2].Reserve(gates[2].period(), "k", l, 0); !d.Start.Equal(midnight) || !d.Reset.Equal(midnight.Add(24*time.Hour)) {
			t.Errorf("%s: %+v", midnight, d)
		}
	}
}

// A gate whose clock is wrong by days has quotas of its own, and does not change those of the others.
func TestWrongClock(t *testing.T) {
	c := newClock()
	gates, l := newGates(t, 2, redistest.Start(t).URL(), c), quota.Limits{QuestionsPerDay: 4}
	for _, skew := range []time.Duration{-72 * time.Hour, 72 * time.Hour} {
		gates[0].skew = skew
		if n := admitted(gates[:1], l, 8); n != 4 {
			t.Errorf("%s: %d questions", skew, n)
		}
	}
	if n := admitted(gates[1:], l, 8); n != 4 {
		t.Errorf("the other gate has admitted %d questions", n)
	}
}

// Backends and keys have counts of their own, and keys of a Redis Cluster are in one slot.
func TestCluster(t *testing.T) {
	gates, l := newGates(t, 2, redistest.StartCluster(t)[0].URL()+"?cluster=true", nil), quota.Limits{QuestionsPerDay: 3, TokensPerDay: 1e6}
	gates[1].backend = "help"
	for _, key := range []string{"a", "b", "web-1", "d#2/24h"} {
		for _, g := range gates {
			for i := range 4 {
				if _, d := g.Reserve(g.period(), key, l, 0); (d.Rejected == quota.None) != (i < 3) {
					t.Errorf("%s, question %d: %+v", key, i, d)
				}
			}
		}
	}
	if n := gates[0].fallbacks.Load() + gates[1].fallbacks.Load(); n > 0 {
		t.Errorf("%d decisions were local", n)
	}
}

// Everything in the server expires, and keys that are not used in a month are forgotten by the gate.
func TestMemory(t *testing.T) {
	c, server := newClock(), redistest.Start(t)
	g := newGates(t, 1, server.URL(), c)[0]
	for range 3 {
		g.ask(quota.Limits{QuestionsPerDay: 2, TokensPerDay: 100})
	}
	r, _ := g.Reserve(g.period(), "other", quota.Limits{TokensPerDay: 100}, 0)
	for _, key := range []string{"docsgate:{k}:quota", "docsgate:{other}:quota", "docsgate:{other}:quota_reserved"} {
		if server.Client().TTL(t.Context(), key).Val() <= 0 {
			t.Errorf("%s does not expire", key)
		}
	}
	c.advance(48 * time.Hour) // the next month
	g.forget(time.Now())
	if len(g.keys) != 1 || g.keys["other"] == nil {
		t.Errorf("%d keys remain", len(g.keys))
	}
	r.Release()
	g.reportChanges()
	g.forget(time.Now())
	if len(g.keys) != 0 {
		t.Errorf("%d keys remain", len(g.keys))
	}
	if n := server.Client().Exists(t.Context(), "docsgate:{other}:quota_reserved").Val(); n != 0 {
		t.Error("tokens remain reserved")
	}
}

// BenchmarkReserve measures a question from its decision to its end. In addition to the elapsed time it reports the time of Redis, including
// that of the reports in the background.
func BenchmarkReserve(b *testing.B) {
	server := redistest.Start(b)
	g := newGates(b, 1, server.URL(), nil)[0]
	client := server.Client()
	for name, l := range map[string]quota.Limits{
		"questions": {QuestionsPerDay: 1e12}, "tokens": {QuestionsPerDay: 1e12, TokensPerDay: 1e12},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			client.ConfigResetStat(b.Context())
			for b.Loop() {
				r, _ := g.Reserve(g.period(), "k", l, 0)
				r.Settle(g.period(), 100)
			}
			var calls, microseconds float64
			for line := range strings.Lines(client.Info(b.Context(), "commandstats").Val()) {
				if _, err := fmt.Sscanf(line, "cmdstat_evalsha:calls=%g,usec=%g,", &calls, &microseconds); err == nil {
					break
				}
			}
			b.ReportMetric(1000*microseconds/float64(b.N), "redis-ns/op")
			b.ReportMetric(calls/float64(b.N), "scripts/op")
		})
	}
}
