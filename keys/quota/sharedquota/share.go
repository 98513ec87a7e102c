package sharedquota

import (
	"time"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/sharedlimits"
)

// share is what this gate may admit while the server is unavailable.
type share struct {
	day, month int32
	used       quota.Counts // of all gates when this gate began to decide alone
	own        quota.Counts // the part of them that this gate has counted
	ended      time.Time    // when the server was available again; zero: not yet
}

// settleAfter is how long the share of a gate remains what it may admit alone after the server is available again. Another outage within
// this time is the same one: the gates have not reported everything yet, so more seems to be left than is.
const settleAfter = sharedlimits.Lease

// end records that the server is available, and returns the share that remains; nil: none.
func (s *share) end(now time.Time) *share {
	switch {
	case s == nil || !s.ended.IsZero() && now.Sub(s.ended) >= settleAfter:
		return nil
	case s.ended.IsZero():
		s.ended = now
	}
	return s
}

// decideAlone decides on a question by the share of this gate. Each gate admits an equal part of what was left at the beginning, and at
// least one question if something was left. k.deciding must be held.
func (l *Limiter) decideAlone(k *key, q *question) {
	st := l.local.State(k.period, k.id)
	known := st.Known.Max(k.seen.in(&st).Add(k.unreported(&st)))
	if k.alone != nil && !k.alone.ended.IsZero() {
		if k.alone = k.alone.end(time.Now()); k.alone != nil {
			k.alone.ended = time.Time{}
		}
	}
	if k.alone == nil {
		k.alone = &share{day: st.Day, month: st.Month, used: known, own: st.Own}
	}
	s := k.alone
	if s.day != st.Day {
		s.day, s.used.QuestionsDay, s.own.QuestionsDay = st.Day, known.QuestionsDay, st.Own.QuestionsDay
		s.used.TokensDay, s.own.TokensDay = known.TokensDay, st.Own.TokensDay
	}
	if s.month != st.Month {
		s.month, s.used.QuestionsMonth, s.own.QuestionsMonth = st.Month, known.QuestionsMonth, st.Own.QuestionsMonth
	}
	since, gates := st.Own.Sub(s.own), int64(l.conn.Nodes())
	used := quota.Counts{
		QuestionsDay:   usedOfShare(q.limits.QuestionsPerDay, s.used.QuestionsDay, since.QuestionsDay, known.QuestionsDay, gates),
		QuestionsMonth: usedOfShare(q.limits.QuestionsPerMonth, s.used.QuestionsMonth, since.QuestionsMonth, known.QuestionsMonth, gates),
		TokensDay:      usedOfShare(q.limits.TokensPerDay, s.used.TokensDay, since.TokensDay, known.TokensDay, gates),
	}
	period := k.period.OnDay(st.Day)
	q.done = true
	if q.decision = quota.Decide(period, used, st.Reserved, q.limits, q.dryRun); q.decision.Rejected == quota.None {
		q.reservation = l.local.Admit(period, k.id, st.Reservation, l)
	}
}

// usedOfShare returns a count that leaves as much of a limit as is left of the share of this gate. before was used in total when it began to
// decide alone, since is what it has used since then, and known what is known to be used in total now.
func usedOfShare(limit, before, since, known, gates int64) int64 {
	left := limit - before
	if left <= 0 {
		return max(known, before)
	}
	return max(known, limit-max(left/gates, 1)+since)
}
