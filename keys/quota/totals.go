package quota

import (
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
)

// SharedStorage is a Storage of several processes, each of which counts some of the questions of each key. Its rows are totals.
type SharedStorage interface {
	Storage

	// Name identifies the totals. Storages with the same name have the same ones.
	Name() string

	// SharedQuotas returns the totals; nil: the storage is not shared after all.
	SharedQuotas() countersync.Storage[Row]
}

// AddDelta adds what a gate has counted to a total. now is the time of the storage.
//
// Counts of a day or month that is over for the total are dropped: the gate's clock lags, or the delta was delayed. Days after tomorrow
// are of a wrong clock: a delta of such a day is not added, and such a total begins again.
func (r Row) AddDelta(delta Row, now time.Time) Row {
	latest := utcDay(now) + 1 // in all time zones
	if delta.Day > latest {
		return r
	}
	if r.Day > latest {
		r = Row{ID: r.ID, MeanTokens: r.MeanTokens}
	}
	return r.plus(delta)
}

// Expired reports whether the row has no counts of the current month, in any time zone.
func (r Row) Expired(now time.Time) bool {
	today := utcDay(now)
	return r.expired(today, monthOf(today))
}

// expired reports whether the row has no counts of the month of a day. The day may be of any time zone: days next to it are kept.
func (r Row) expired(today, month int32) bool {
	return (r.Day < today-1 || r.Day > today+1) && monthOf(r.Day) != month
}

// plus returns the sum of a total and a delta. The later day is its day. The mean is not a sum but the newest one.
func (r Row) plus(delta Row) Row {
	sum := r
	sum.ID = delta.ID
	if delta.MeanTokens != 0 {
		sum.MeanTokens = delta.MeanTokens
	}
	switch month := monthOf(delta.Day); {
	case month == monthOf(r.Day):
		sum.QuestionsMonth = max(r.QuestionsMonth+delta.QuestionsMonth, 0)
	case delta.Day > r.Day:
		sum.QuestionsMonth = delta.QuestionsMonth
	}
	switch {
	case delta.Day == r.Day:
		sum.QuestionsDay = max(r.QuestionsDay+delta.QuestionsDay, 0)
		sum.TokensDay = max(r.TokensDay+delta.TokensDay, 0)
		sum.EstimatedDay = max(r.EstimatedDay+delta.EstimatedDay, 0)
	case delta.Day > r.Day:
		sum.Day, sum.QuestionsDay, sum.TokensDay, sum.EstimatedDay = delta.Day, delta.QuestionsDay, delta.TokensDay, delta.EstimatedDay
	}
	return sum
}

// since returns the delta between an earlier row of the key and r: what has to be added for r.
func (r Row) since(earlier Row) Row {
	delta := r
	if r.Day == earlier.Day {
		delta.QuestionsDay -= earlier.QuestionsDay
		delta.TokensDay -= earlier.TokensDay
		delta.EstimatedDay -= earlier.EstimatedDay
	}
	if monthOf(r.Day) == monthOf(earlier.Day) {
		delta.QuestionsMonth -= earlier.QuestionsMonth
	}
	return delta
}

// counted reports whether a delta adds something.
func (r Row) counted() bool {
	return r.QuestionsDay != 0 || r.QuestionsMonth != 0 || r.TokensDay != 0 || r.EstimatedDay != 0
}

// larger returns a row with the counts of the later day of two rows, of which each may contain counts of the other.
func (r Row) larger(other Row) Row {
	if other.Day > r.Day {
		r, other = other, r
	}
	if r.Day == other.Day {
		r.QuestionsDay = max(r.QuestionsDay, other.QuestionsDay)
		r.TokensDay = max(r.TokensDay, other.TokensDay)
		r.EstimatedDay = max(r.EstimatedDay, other.EstimatedDay)
	}
	if monthOf(r.Day) == monthOf(other.Day) {
		r.QuestionsMonth = max(r.QuestionsMonth, other.QuestionsMonth)
	}
	return r
}

// utcDay returns the day of a time in UTC. In other time zones it can be one day more or less.
func utcDay(t time.Time) int32 { return int32(t.Unix() / (24 * 60 * 60)) }
