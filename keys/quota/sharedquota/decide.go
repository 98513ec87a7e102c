package sharedquota

import (
	"context"
	_ "embed" // the script
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/sharedlimits"
)

const (
	// lease is how long the tokens that a gate has reserved count after it has ended, by the clock of the server.
	lease = 30 * time.Second

	// confirmAfter is how long the gates need until each knows the totals of all in a SharedStorage, with some delay.
	confirmAfter = 4 * time.Second
)

//go:embed quotas.lua
var source string

var script = redis.NewScript(source)

var errResult = errors.New("the result of a script is malformed")

// decide decides on questions by the counts of all gates, or, while the server is unavailable, by this gate's share. k.deciding must be held.
func (l *Limiter) decide(k *key, batch []*question) {
	for _, q := range batch {
		if k.period == nil || q.period.DayStart.After(k.period.DayStart) || q.period.Calendar() != k.period.Calendar() {
			k.period = q.period
		}
		if q.limits.TokensPerDay > 0 {
			k.tokens.Store(true)
		}
	}
	if l.conn.Available() {
		c := l.newCall(k, batch)
		result, err := l.conn.Run(context.Background(), script, c.Keys, c.Args...)
		if err == nil && result == nil { // the clock of this gate is wrong by days, so it has quotas of its own
			for _, q := range batch {
				q.done = true
				q.reservation, q.decision = l.local.Reserve(q.period, k.id, q.limits, q.dryRun)
			}
			return
		}
		if err == nil {
			if err = l.apply(k, c, result, batch, time.Now()); err == nil {
				return
			}
		}
	}
	for _, q := range batch {
		l.conn.Fallback("quotas")
		l.decideAlone(k, q)
	}
}

// calls is the number of the last call of any limiter of this process, which may share the counts of a gate.
var calls atomic.Int64

// call is a call of the server for a key.
type call struct {
	sharedlimits.Call
	state quota.State
}

// newCall returns a call that decides on questions and reports the counts of this gate. k.deciding must be held until its result is applied.
func (l *Limiter) newCall(k *key, batch []*question) *call {
	st := l.local.State(k.period, k.id)
	unreported := k.unreported(&st)
	now, tokens := any(""), "0"
	if l.clock != nil {
		now = l.clock().UnixMilli()
	}
	if k.tokens.Load() {
		tokens = "1"
	}
	tag := k.id
	if l.backend != "" {
		tag = l.backend + "/" + k.id // IDs of keys have no slash
	}
	args := make([]any, 0, 21+3*len(batch))
	args = append(args, now, l.local.ID(), lease.Milliseconds(), tokens, st.Reserved, st.Reservation, st.Day, st.Month)
	for _, c := range []quota.Counts{
		st.Own,
		unreported,
		k.seen.in(&st),
		st.Known,
	} {
		args = append(args, c.QuestionsDay, c.QuestionsMonth, c.TokensDay)
	}
	args = append(args, calls.Add(1))
	for _, q := range batch {
		limits := q.limits
		if q.dryRun.Has(quota.QuestionsPerDay) {
			limits.QuestionsPerDay = 0
		}
		if q.dryRun.Has(quota.QuestionsPerMonth) {
			limits.QuestionsPerMonth = 0
		}
		if q.dryRun.Has(quota.TokensPerDay) {
			limits.TokensPerDay = 0
		}
		args = append(args, limits.QuestionsPerDay, limits.QuestionsPerMonth, limits.TokensPerDay)
	}
	keys := []string{l.conn.Key(tag, "quota"), l.conn.Key(tag, "quota_reserved")}
	return &call{Call: sharedlimits.Call{Keys: keys, Args: args}, state: st}
}

// unreported returns what this gate has counted since the last successful call.
func (k *key) unreported(st *quota.State) quota.Counts {
	return st.Own.Sub(k.reported.in(st)).Max(quota.Counts{})
}

// apply counts the questions that the server has admitted, and sets their decisions. k.deciding must be held.
func (l *Limiter) apply(k *key, c *call, result any, batch []*question, now time.Time) error {
	values, ok := result.([]any)
	if !ok || len(values) != 6 {
		return errResult
	}
	var n [6]int64
	for i := range n {
		if n[i], ok = values[i].(int64); !ok {
			return errResult
		}
	}
	st := &c.state
	period := k.period.OnDay(int32(n[0]))
	used, reserved := quota.Counts{QuestionsDay: n[1], QuestionsMonth: n[2], TokensDay: n[3]}, n[4]
	reported := record{day: period.Day(), month: period.Month(), Counts: st.Own.In(st.Day, st.Month, period.Day(), period.Month())}
	k.reportedReserved = st.Reserved
	one := quota.Counts{QuestionsDay: 1, QuestionsMonth: 1}
	for _, q := range batch {
		q.done = true
		q.decision = quota.Decide(period, used, reserved, q.limits, q.dryRun)
		if q.decision.Rejected != quota.None {
			continue
		}
		q.reservation = l.local.Admit(period, k.id, st.Reservation, l)
		used, reported.Counts = used.Add(one), reported.Add(one)
		reserved += st.Reservation
		k.reportedReserved += st.Reservation
	}
	k.seen, k.reported, k.reportedAt = record{day: period.Day(), month: period.Month(), Counts: used}, reported, now
	k.alone = k.alone.end(now)
	switch {
	case n[5] != 0:
		k.confirmAt = now.Add(confirmAfter)
	case !k.confirmAt.IsZero() && !now.Before(k.confirmAt):
		k.confirmAt = time.Time{}
	}
	return nil
}
