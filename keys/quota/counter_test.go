package quota

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/alloctest"
)

var (
	utc = NewCalendar(nil)
	now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
)

// ask reserves and settles an answer, and returns the limit that rejected it.
func ask(c *Counter, at time.Time, l Limits, tokens int64) Limit {
	r, d := c.Reserve(utc.At(at), "k", l, 0)
	r.Settle(utc.At(at), tokens)
	return d.Rejected
}

func TestQuestions(t *testing.T) {
	c, l := New(), Limits{QuestionsPerDay: 3, QuestionsPerMonth: 5}
	for i, want := range []Limit{None, None, None, QuestionsPerDay} {
		if got := ask(c, now, l, 1); got != want {
			t.Errorf("question %d: %v, want %v", i, got, want)
		}
	}
	next := now.Add(24 * time.Hour) // the month still has one day
	for i, want := range []Limit{None, None, QuestionsPerMonth} {
		if got := ask(c, next, l, 1); got != want {
			t.Errorf("question %d of the next day: %v, want %v", i, got, want)
		}
	}
	if got := ask(c, next, Limits{QuestionsPerDay: 3}, 1); got != None {
		t.Errorf("without the limit of the month: %v", got)
	}
	if got := ask(c, next.Add(24*time.Hour), l, 1); got != None {
		t.Errorf("in the next month: %v", got)
	}
	if u, ok := c.Use(utc.At(next.Add(24*time.Hour)), "k"); !ok || u.QuestionsToday != 1 || u.QuestionsThisMonth != 1 {
		t.Errorf("use: %+v, %v", u, ok)
	}
}

// A changed limit applies to what was used before the change.
func TestChangedLimit(t *testing.T) {
	c := New()
	for range 5 {
		ask(c, now, Limits{QuestionsPerDay: 100, TokensPerDay: 1e6}, 100)
	}
	for _, l := range []Limits{{QuestionsPerDay: 4}, {QuestionsPerMonth: 5}, {TokensPerDay: 500}} {
		if got := ask(c, now, l, 1); got == None {
			t.Errorf("%+v does not reject", l)
		}
	}
	if got := ask(c, now, Limits{QuestionsPerDay: 6}, 1); got != None {
		t.Errorf("a larger limit rejects: %v", got)
	}
}

// At most one answer may exceed a limit of tokens, however many arrive at the same time.
func TestConcurrentTokens(t *testing.T) {
	const cost = 100
	for _, limit := range []int64{1000, 1050, 150, 99} {
		c, l := New(), Limits{TokensPerDay: limit}
		ask(c, now, l, cost) // from now on the mean is known
		var answers atomic.Int64
		start := make(chan struct{})
		var reserved, done sync.WaitGroup
		reserved.Add(100)
		for range 100 {
			done.Go(func() {
				<-start
				r, d := c.Reserve(utc.At(now), "k", l, 0)
				reserved.Done()
				if d.Rejected != None {
					return
				}
				answers.Add(1)
				reserved.Wait() // no answer ends before all questions have arrived
				r.Settle(utc.At(now), cost)
			})
		}
		close(start)
		done.Wait()
		u, _ := c.Use(utc.At(now), "k")
		if over := u.TokensToday - limit; over >= cost || answers.Load() == 0 && limit > cost {
			t.Errorf("limit %d: %d answers, %d tokens", limit, answers.Load(), u.TokensToday)
		}
	}
}

// Without a mean, one answer is in flight unless the limit is large.
func TestFirstAnswers(t *testing.T) {
	for limit, want := range map[int64]int{1000: 1, 10 * firstReservation: 10} {
		c, admitted := New(), 0
		for range 100 {
			r, d := c.Reserve(utc.At(now), "k", Limits{TokensPerDay: limit}, 0)
			if d.Rejected == None {
				admitted++
				defer r.Release()
			} else if !d.InFlight {
				t.Errorf("limit %d: rejected for the rest of the day", limit)
			}
		}
		if admitted != want {
			t.Errorf("limit %d: %d answers in flight, want %d", limit, admitted, want)
		}
	}
}

func TestConcurrentQuestions(t *testing.T) {
	c := New()
	var admitted atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			r, d := c.Reserve(utc.At(now), "k", Limits{QuestionsPerDay: 37}, 0)
			if d.Rejected == None {
				admitted.Add(1)
			}
			r.Settle(utc.At(now), 1)
		})
	}
	all.Wait()
	if n := admitted.Load(); n != 37 {
		t.Errorf("%d of 37", n)
	}
}

func TestRelease(t *testing.T) {
	c, l := New(), Limits{QuestionsPerDay: 1, TokensPerDay: 10}
	r, _ := c.Reserve(utc.At(now), "k", l, 0)
	r.Release()
	r.Release()
	r.Settle(utc.At(now), 100)
	if u, ok := c.Use(utc.At(now), "k"); !ok || u.QuestionsToday != 0 || u.TokensToday != 0 {
		t.Errorf("after a release: %+v, %v", u, ok)
	}
	if got := ask(c, now, l, 1); got != None {
		t.Errorf("after a release: %v", got)
	}
	// A question of yesterday is not subtracted from today's.
	c = New()
	r, _ = c.Reserve(utc.At(now), "k", l, 0)
	ask(c, now.Add(24*time.Hour), Limits{QuestionsPerDay: 9}, 1)
	r.Release()
	if u, _ := c.Use(utc.At(now.Add(24*time.Hour)), "k"); u.QuestionsToday != 1 || u.QuestionsThisMonth != 1 {
		t.Errorf("after the release of a question of the day before: %+v", u)
	}
}

func TestDryRun(t *testing.T) {
	c, l := New(), Limits{QuestionsPerDay: 1, TokensPerDay: 1}
	ask(c, now, l, 10)
	r, d := c.Reserve(utc.At(now), "k", l, Of(QuestionsPerDay, TokensPerDay))
	if d.Rejected != None || d.WouldReject != Of(QuestionsPerDay, TokensPerDay) || r.IsZero() || d.Tightest != None {
		t.Errorf("both in dry run: %+v", d)
	}
	if _, d = c.Reserve(utc.At(now), "k", l, Of(QuestionsPerDay)); d.Rejected != TokensPerDay || d.WouldReject != Of(QuestionsPerDay) {
		t.Errorf("one in dry run: %+v", d)
	}
}

func TestDecision(t *testing.T) {
	c, p := New(), utc.At(now)
	day := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	month := day.Add(24 * time.Hour)
	_, d := c.Reserve(p, "k", Limits{QuestionsPerDay: 9, QuestionsPerMonth: 3, TokensPerDay: 1}, 0)
	if d.Tightest != QuestionsPerMonth || d.Max != 3 || d.Remaining != 2 || !d.Reset.Equal(month) || d.Reset.Sub(d.Start) != 30*24*time.Hour {
		t.Errorf("month: %+v", d)
	}
	if _, d = c.Reserve(p, "k", Limits{QuestionsPerDay: 3, QuestionsPerMonth: 9}, 0); d.Tightest != QuestionsPerDay || d.Remaining != 1 || !d.Reset.Equal(day) {
		t.Errorf("day: %+v", d)
	}
	if _, d = c.Reserve(p, "k", Limits{QuestionsPerDay: 2, QuestionsPerMonth: 2}, 0); d.Rejected != QuestionsPerMonth || !d.Reset.Equal(month) {
		t.Errorf("both are reached: %+v", d)
	}
}

// Neither a clock that is set back nor another time zone replenishes a quota.
func TestClockSetBack(t *testing.T) {
	c, l := New(), Limits{QuestionsPerDay: 1}
	midnight := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	ask(c, midnight, l, 1)
	if got := ask(c, midnight.Add(-time.Second), l, 1); got != QuestionsPerDay {
		t.Errorf("a second before: %v", got)
	}
	if got := ask(c, midnight.Add(time.Second), l, 1); got != QuestionsPerDay {
		t.Errorf("a second after: %v", got)
	}
	if got := ask(c, midnight.Add(-72*time.Hour), l, 1); got != None {
		t.Errorf("a clock that was wrong by days blocks the key: %v", got)
	}
}

func TestMeanIsBounded(t *testing.T) {
	c := new(counts)
	c.addAnswer(1e9)
	if got := c.reservation(); got != maxReservation {
		t.Errorf("after a huge answer: %d", got)
	}
	for range 200 {
		c.addAnswer(100)
	}
	if got := c.reservation(); got < 100 || got > 120 {
		t.Errorf("after many answers of 100 tokens: %d", got)
	}
	c.addAnswer(0)
	if got := c.reservation(); got < 100 {
		t.Errorf("an error changes the mean to %d", got)
	}
}

func TestReserveAllocatesNothing(t *testing.T) {
	c, l := New(), Limits{QuestionsPerDay: 1e9, QuestionsPerMonth: 1e9, TokensPerDay: 1e9}
	if n := alloctest.MinBytes(0, func() {
		r, _ := c.Reserve(utc.At(now), "k", l, 0)
		r.Settle(utc.At(now), 100)
	}); n > 0 {
		t.Errorf("%d bytes", n)
	}
}

func BenchmarkReserve(b *testing.B) {
	c, l := New(), Limits{QuestionsPerDay: 1e15, QuestionsPerMonth: 1e15, TokensPerDay: 1e15}
	b.ReportAllocs()
	for b.Loop() {
		r, _ := c.Reserve(utc.At(now), "k", l, 0)
		r.Settle(utc.At(now), 100)
	}
}
