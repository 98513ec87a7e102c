package quota

import (
	"testing"
	"time"
)

// estimated settles an answer with an estimate.
func estimated(c *Counter, at time.Time, tokens int64) Estimate {
	r, _ := c.Reserve(utc.At(at), "k", Limits{}, 0)
	return r.SettleEstimate(utc.At(at), tokens)
}

func (c *Counter) tokens(t *testing.T, at time.Time) (tokens, estimated int64) {
	t.Helper()
	u, ok := c.Use(utc.At(at), "k")
	if !ok {
		t.Fatal("nothing is counted")
	}
	return u.TokensToday, u.EstimatedTokensToday
}

func TestEstimate(t *testing.T) {
	c := New()
	ask(c, now, Limits{}, 10)
	e := estimated(c, now, 500)
	if n, of := c.tokens(t, now); n != 510 || of != 500 {
		t.Errorf("%d tokens, %d estimated", n, of)
	}
	e.Correct(700)
	e.Correct(900)
	e.Keep()
	if n, of := c.tokens(t, now); n != 710 || of != 0 {
		t.Errorf("after a correction: %d tokens, %d estimated", n, of)
	}
	e = estimated(c, now, 300)
	e.Keep()
	e.Correct(1)
	if n, of := c.tokens(t, now); n != 1010 || of != 300 {
		t.Errorf("after an estimate that is kept: %d tokens, %d estimated", n, of)
	}
	e = estimated(c, now, 1000)
	e.Correct(0)
	if n, of := c.tokens(t, now); n != 1010 || of != 300 {
		t.Errorf("after an answer without tokens: %d tokens, %d estimated", n, of)
	}
}

// A correction that arrives after midnight does not change the new day.
func TestEstimateOfTheDayBefore(t *testing.T) {
	c := New()
	yesterday, tomorrow := estimated(c, now, 500), now.Add(24*time.Hour)
	estimated(c, tomorrow, 40)
	yesterday.Correct(7)
	if n, of := c.tokens(t, tomorrow); n != 40 || of != 40 {
		t.Errorf("%d tokens, %d estimated", n, of)
	}
	// The clock may be set back over midnight, which keeps the counts of the later day.
	e := estimated(c, now, 100)
	e.Correct(1)
	if n, of := c.tokens(t, tomorrow); n != 41 || of != 40 {
		t.Errorf("after the clock was set back: %d tokens, %d estimated", n, of)
	}
}

// The mean, and so the next reservation, is that of the exact numbers.
func TestMeanOfEstimates(t *testing.T) {
	c := New()
	e := estimated(c, now, 50_000)
	for _, want := range []int64{firstReservation, 300} {
		r, _ := c.Reserve(utc.At(now), "k", Limits{}, 0)
		if got := r.Tokens(); got != want {
			t.Errorf("%d tokens are reserved, want %d", got, want)
		}
		r.Release()
		e.Correct(300)
	}
}
