package quota

import (
	"math/rand/v2"
	"testing"
	"time"
)

// What a process has counted itself is everything, if no other process counts. Decisions on it are those of Reserve.
func TestOwnCounts(t *testing.T) {
	for seed := range uint64(50) {
		random, at, c := rand.New(rand.NewPCG(seed, 0)), now, New()
		var answers []Reservation
		var estimates []Estimate
		for range 200 {
			p, l := utc.At(at), Limits{QuestionsPerDay: random.Int64N(20), QuestionsPerMonth: random.Int64N(60), TokensPerDay: random.Int64N(20_000)}
			switch op := random.IntN(6); {
			case op < 2:
				st := c.State(p, "k")
				decision := Decide(p, st.Known, st.Reserved, l, 0)
				r, want := c.Reserve(p, "k", l, 0)
				if decision != want || want.Rejected == None && r.Tokens() != st.Reservation {
					t.Fatalf("seed %d: %+v for %+v, want %+v with %d tokens", seed, decision, st, want, r.Tokens())
				}
				answers = append(answers, r)
			case op == 2 && len(answers) > 0:
				i := random.IntN(len(answers))
				if random.IntN(2) == 0 {
					answers[i].Release()
				} else {
					answers[i].Settle(p, random.Int64N(5000))
				}
			case op == 3 && len(answers) > 0:
				i := random.IntN(len(answers))
				estimates = append(estimates, answers[i].SettleEstimate(p, random.Int64N(5000)))
			case op == 4 && len(estimates) > 0:
				estimates[random.IntN(len(estimates))].Correct(random.Int64N(5000))
			case random.IntN(8) == 0:
				at = at.Add(time.Duration(random.IntN(40)) * time.Hour)
			}
			if st := c.State(utc.At(at), "k"); st.Own != st.Known || st.Unsaved != st.Known || st.Day != utc.At(at).Day() || st.Month != utc.At(at).Month() {
				t.Fatalf("seed %d: %+v", seed, st)
			}
		}
	}
}

// Counts of other processes are known, but not own ones. Own ones are unsaved until they are added to the totals.
func TestOwnCountsAmongOthers(t *testing.T) {
	s := newShared()
	s.totals.SetNow(now)
	a, b := newNode(t, s, now), newNode(t, s, now)
	ask(a.Counter, now, allowed, 10)
	ask(b.Counter, now, allowed, 20)
	ask(b.Counter, now, allowed, 20)
	syncAll(a, b)
	ask(a.Counter, now, allowed, 10)
	st := a.State(utc.At(now), "k")
	if st.Known != (Counts{4, 4, 60}) || st.Own != (Counts{2, 2, 20}) || st.Unsaved != (Counts{1, 1, 10}) {
		t.Errorf("%+v", st)
	}
}

// ended records the ends of reservations.
type ended []bool

func (e *ended) Ended(_ string, released bool) { *e = append(*e, released) }

// A question that was decided on elsewhere is counted in the day of the decision, and its end is reported once.
func TestAdmit(t *testing.T) {
	c, today := New(), utc.At(now)
	tomorrow := today.OnDay(today.Day() + 1)
	if !tomorrow.DayStart.Equal(today.DayEnd) || tomorrow.OnDay(today.Day()).DayEnd != today.DayEnd || today.OnDay(today.Day()) != today {
		t.Errorf("%+v", tomorrow)
	}
	var e ended
	released := c.Admit(tomorrow, "k", 500, &e)
	settled := c.Admit(today, "k", 600, &e)
	if st := c.State(today, "k"); st.Day != tomorrow.Day() || st.Known.QuestionsDay != 2 || st.Reserved != 1100 {
		t.Errorf("%+v", st)
	}
	released.Release()
	settled.Settle(today, 70)
	settled.Settle(today, 70)
	if st := c.State(today, "k"); st.Known != (Counts{1, 1, 70}) || st.Own != st.Known || st.Reserved != 0 {
		t.Errorf("%+v", st)
	}
	if len(e) != 2 || !e[0] || e[1] {
		t.Errorf("the ends: %v", e)
	}
	if New().ID() == c.ID() {
		t.Error("two counters have the same ID")
	}
}
