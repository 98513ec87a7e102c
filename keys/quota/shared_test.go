package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/countersync/countersynctest"
)

// sharedStorage is a SharedStorage in memory. Its other methods must not be used.
type sharedStorage struct {
	Storage // nil
	totals  *countersynctest.Memory[Row]
	failed  atomic.Bool // open fails
}

func newShared() *sharedStorage {
	return &sharedStorage{totals: countersynctest.New(func(r Row) string { return r.ID }, Row.AddDelta, Row.Expired)}
}

func (s *sharedStorage) Name() string { return fmt.Sprintf("%p", s.totals) }

func (s *sharedStorage) SharedQuotas() countersync.Storage[Row] { return s.totals }

func (s *sharedStorage) open(context.Context, bool) (Storage, error) {
	if s.failed.Load() {
		return nil, countersynctest.ErrLost
	}
	return s, nil
}

// node is a gate with a clock of its own.
type node struct {
	*Counter
	saver *Saver
	now   time.Time
}

func newNode(t *testing.T, s *sharedStorage, at time.Time) *node {
	t.Helper()
	n := &node{Counter: New(), now: at}
	n.saver = NewSaver(SaverOptions{Counter: n.Counter, Open: s.open, Now: func() time.Time { return n.now }})
	if err := n.saver.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) ask(l Limits, tokens int64) Limit { return ask(n.Counter, n.now, l, tokens) }

func (n *node) sync() { _ = n.saver.save(context.Background()) }

func (n *node) use() Use {
	u, _ := n.Use(utc.At(n.now), "k")
	return u
}

// syncAll saves the counts of all nodes, and then makes each know all.
func syncAll(nodes ...*node) {
	for range 2 {
		for _, n := range nodes {
			n.sync()
		}
	}
}

func TestSharedLimits(t *testing.T) {
	s, l := newShared(), Limits{QuestionsPerDay: 5, TokensPerDay: 1000}
	s.totals.SetNow(now)
	a, b := newNode(t, s, now), newNode(t, s, now)
	for range 2 {
		a.ask(l, 100)
		b.ask(l, 100)
	}
	syncAll(a, b)
	if got := b.ask(l, 100); got != None {
		t.Errorf("the fifth question: %v", got)
	}
	syncAll(a, b)
	for i, n := range []*node{a, b} {
		if got := n.ask(l, 100); got != QuestionsPerDay {
			t.Errorf("node %d, the sixth question: %v", i, got)
		}
		if u := n.use(); u.QuestionsToday != 5 || u.QuestionsThisMonth != 5 || u.TokensToday != 500 {
			t.Errorf("node %d: %+v", i, u)
		}
	}
	if got := newNode(t, s, now).ask(Limits{TokensPerDay: 500}, 1); got != TokensPerDay {
		t.Errorf("a new node, without tokens left: %v", got)
	}
}

// Several nodes, whose calls of the storage fail before or after they are stored, have counted the same as one node without failures.
func TestSharedEqualsLocal(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		s, local, at := newShared(), New(), now
		s.totals.SetNow(at)
		nodes := make([]*node, 1+random.IntN(4))
		for i := range nodes {
			nodes[i] = newNode(t, s, at)
		}
		s.totals.SetFail(func() error {
			if random.IntN(4) == 0 {
				return countersynctest.ErrLost
			}
			return nil
		})
		type answer struct{ shared, local Reservation }
		type estimate struct{ shared, local Estimate }
		var answers []answer
		var estimates []estimate
		for range 400 {
			n := nodes[random.IntN(len(nodes))]
			n.now = at
			p := utc.At(at)
			switch op := random.IntN(10); {
			case op < 4:
				r, _ := n.Reserve(p, "k", allowed, 0)
				l, _ := local.Reserve(p, "k", allowed, 0)
				answers = append(answers, answer{r, l})
			case op < 7 && len(answers) > 0:
				i := random.IntN(len(answers))
				a := answers[i]
				answers = append(answers[:i], answers[i+1:]...)
				switch tokens := random.Int64N(1000); op {
				case 4:
					a.shared.Settle(p, tokens)
					a.local.Settle(p, tokens)
				case 5:
					a.shared.Release()
					a.local.Release()
				default:
					estimates = append(estimates, estimate{a.shared.SettleEstimate(p, tokens), a.local.SettleEstimate(p, tokens)})
				}
			case op == 7 && len(estimates) > 0:
				e := estimates[len(estimates)-1]
				estimates = estimates[:len(estimates)-1]
				tokens := random.Int64N(1000)
				e.shared.Correct(tokens)
				e.local.Correct(tokens)
			case op == 8:
				n.sync()
			case op == 9 && random.IntN(8) == 0:
				at = at.Add(time.Duration(random.IntN(30)) * time.Hour)
				s.totals.SetNow(at)
			}
		}
		s.totals.SetFail(nil)
		for _, n := range nodes {
			n.now = at
		}
		syncAll(nodes...)
		want, _ := local.Use(utc.At(at), "k")
		for i, n := range nodes {
			if got := n.use(); got != want {
				t.Fatalf("seed %d: node %d of %d has %+v, want %+v", seed, i, len(nodes), got, want)
			}
		}
	}
}

// Clocks differ by ten seconds, and the nodes exchange their counts each second. At midnight no question is lost, and the new day begins
// with those that were asked after the first node's midnight, or up to a second later.
func TestSkewAtMidnight(t *testing.T) {
	for _, c := range []struct {
		name     string
		midnight time.Time
		newMonth bool
	}{
		{"day", time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC), false},
		{"month", time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const perSecond = 10 // of each node
			s := newShared()
			s.totals.SetNow(c.midnight)
			fast, slow := newNode(t, s, c.midnight), newNode(t, s, c.midnight)
			for second := -20; second < 20; second++ {
				at := c.midnight.Add(time.Duration(second) * time.Second)
				s.totals.SetNow(at)
				fast.now, slow.now = at.Add(5*time.Second), at.Add(-5*time.Second)
				for range perSecond {
					fast.ask(allowed, 1)
					slow.ask(allowed, 1)
				}
				fast.sync()
				slow.sync()
			}
			syncAll(fast, slow)
			// 25 seconds from the midnight of the fast node on; the slow node reads of it in the first of them, after its questions.
			const today, all = 25*perSecond + 24*perSecond, 2 * 40 * perSecond
			for i, n := range []*node{fast, slow} {
				u := n.use()
				want := Use{
					QuestionsToday: today, QuestionsThisMonth: all, TokensToday: today, DayEnd: u.DayEnd, MonthEnd: u.MonthEnd,
				}
				if c.newMonth {
					want.QuestionsThisMonth = today
				}
				if u != want {
					t.Errorf("node %d: %+v, want %+v", i, u, want)
				}
			}
		})
	}
}

// A node whose clock is wrong by days neither replenishes the quotas of the others, nor has no limit itself.
func TestWrongClock(t *testing.T) {
	for _, days := range []int{-40, -3, 3, 40} {
		t.Run(fmt.Sprint(days), func(t *testing.T) {
			s, l := newShared(), Limits{QuestionsPerDay: 5}
			s.totals.SetNow(now)
			right, wrong := newNode(t, s, now), newNode(t, s, now.AddDate(0, 0, days))
			admitted := [2]int{}
			for range 20 {
				for i, n := range []*node{right, wrong} {
					if n.ask(l, 1) == None {
						admitted[i]++
					}
				}
				syncAll(right, wrong)
			}
			if admitted[0] != 5 || admitted[1] != 5 {
				t.Errorf("%d and %d questions, want 5 each", admitted[0], admitted[1])
			}
			wrong.now = now
			syncAll(right, wrong)
			wrong.ask(allowed, 1)
			syncAll(right, wrong)
			if a, b := right.use().QuestionsToday, wrong.use().QuestionsToday; a != 6 || b != 6 {
				t.Errorf("%d and %d questions after the clock was set, want 6", a, b)
			}
		})
	}
}

// Without the storage, at the start or later, a node counts on its own, and the counts are added afterwards.
func TestSharedOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared()
		s.totals.SetNow(now)
		other := newNode(t, s, now)
		other.ask(allowed, 1)
		other.sync()

		s.failed.Store(true)
		n := &node{Counter: New(), now: now}
		n.saver = NewSaver(SaverOptions{Counter: n.Counter, Open: s.open, Now: func() time.Time { return n.now }})
		if err := n.saver.Restore(t.Context()); err == nil {
			t.Error("no error")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go n.saver.Run(ctx)
		n.ask(allowed, 1)
		time.Sleep(15 * time.Second)
		s.failed.Store(false)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if got := n.use().QuestionsToday; got != 2 {
			t.Errorf("%d questions after the start, want 2", got)
		}

		s.totals.SetFail(func() error { return countersynctest.ErrLost })
		n.ask(allowed, 1)
		time.Sleep(15 * time.Second)
		n.ask(allowed, 1)
		s.totals.SetFail(nil)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		other.sync()
		if a, b := n.use().QuestionsToday, other.use().QuestionsToday; a != 4 || b != 4 {
			t.Errorf("%d and %d questions after the outage, want 4", a, b)
		}
	})
}

// During an outage a configuration with another password of the same storage is loaded. Nothing is lost or counted twice.
func TestSharedStorageOpenedAgain(t *testing.T) {
	for _, stored := range []bool{true, false} {
		s, calls := newShared(), 0
		s.totals.SetNow(now)
		n, other := newNode(t, s, now), newNode(t, s, now)
		for range 5 {
			other.ask(allowed, 1)
		}
		other.sync()
		s.totals.SetFail(func() error {
			if calls++; calls == 1 && stored {
				return nil // the call fails after it was stored
			}
			return countersynctest.ErrLost
		})
		n.ask(allowed, 1)
		n.sync()
		n.ask(allowed, 1)

		old := n.saver
		n.saver = NewSaver(SaverOptions{Counter: n.Counter, Open: (&sharedStorage{totals: s.totals}).open, Now: func() time.Time { return now }})
		if err := n.saver.Restore(t.Context()); err == nil {
			t.Error("no error")
		}
		n.ask(allowed, 1)
		s.totals.SetFail(nil)
		if err := old.Close(); err != nil {
			t.Error(err)
		}
		syncAll(n, other)
		if a, b := n.use().QuestionsToday, other.use().QuestionsToday; a != 8 || b != 8 {
			t.Errorf("stored %v: %d and %d questions, want 8", stored, a, b)
		}
	}
}

// A configuration with another storage takes the counts along. If it is rejected, the previous storage gets what was counted meanwhile.
func TestSharedAndOtherStorage(t *testing.T) {
	first, second, file := newShared(), newShared(), newStorage()
	first.totals.SetNow(now)
	second.totals.SetNow(now)
	n := newNode(t, first, now)
	other := newNode(t, first, now)
	other.ask(allowed, 1)
	other.sync()
	n.ask(allowed, 1)
	n.sync()
	for _, open := range []func(context.Context, bool) (Storage, error){second.open, file.open} {
		next := NewSaver(SaverOptions{Counter: n.Counter, Open: open, Now: func() time.Time { return now }})
		if err := next.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.ask(allowed, 1)
		next.tick(t.Context())
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
		n.ask(allowed, 1)
		syncAll(n, other)
	}
	fromSecond, _ := second.totals.Total("k")
	if a, b := n.use().QuestionsToday, other.use().QuestionsToday; a != 6 || b != 6 || fromSecond.QuestionsDay != 3 || file.rows["k"].QuestionsDay != 5 {
		t.Errorf("%d and %d questions, %d in the second storage, %d in the file", a, b, fromSecond.QuestionsDay, file.rows["k"].QuestionsDay)
	}
}

// What has expired is removed, unless another node has added to it.
func TestSharedExpiry(t *testing.T) {
	s := newShared()
	s.totals.SetNow(now)
	a, b := newNode(t, s, now), newNode(t, s, now)
	for _, key := range []string{"over", "used"} {
		r, _ := a.Reserve(utc.At(now), key, allowed, 0)
		r.Settle(utc.At(now), 1)
	}
	syncAll(a, b)
	next := now.AddDate(0, 1, 0)
	s.totals.SetNow(next)
	a.now, b.now = next, next
	r, _ := b.Reserve(utc.At(next), "used", allowed, 0)
	r.Settle(utc.At(next), 1)
	b.sync()
	newNode(t, s, next).sync() // the first call removes what has expired
	a.sync()
	if _, ok := s.totals.Total("over"); ok {
		t.Error("an expired total remains")
	}
	if total, ok := s.totals.Total("used"); !ok || total.QuestionsMonth != 1 {
		t.Errorf("a total of this month: %+v, %v", total, ok)
	}
	for i, n := range []*node{a, b} {
		if _, ok := n.Use(utc.At(next), "over"); ok {
			t.Errorf("node %d has the expired total", i)
		}
		if u, _ := n.Use(utc.At(next), "used"); u.QuestionsThisMonth != 1 {
			t.Errorf("node %d: %+v", i, u)
		}
	}
}
