package quota

import "time"

// Limit names a limit of a quota.
type Limit uint8

// The limits.
const (
	None Limit = iota
	QuestionsPerDay
	QuestionsPerMonth
	TokensPerDay
)

// String returns the name of the limit in policies.
func (l Limit) String() string {
	return [...]string{"", "questions_per_day", "questions_per_month", "tokens_per_day"}[l]
}

// Set is a set of limits.
type Set uint8

// Of returns the set of some limits.
func Of(limits ...Limit) (s Set) {
	for _, l := range limits {
		s |= 1 << l
	}
	return s
}

// Has reports whether a limit is in the set.
func (s Set) Has(l Limit) bool { return s&(1<<l) != 0 }

// Limits are the limits of one key. A limit of 0 does not apply.
type Limits struct {
	QuestionsPerDay   int64
	QuestionsPerMonth int64
	TokensPerDay      int64
}

// IsZero reports whether there is no limit.
func (l Limits) IsZero() bool { return l == Limits{} }

// Use is what a key has used. Tokens of answers in flight are not included.
type Use struct {
	QuestionsToday       int64
	QuestionsThisMonth   int64
	TokensToday          int64
	EstimatedTokensToday int64     // the part of TokensToday that is estimated
	DayEnd               time.Time // when the counts of the day are reset
	MonthEnd             time.Time // when the count of the month is reset
}

// Decision is the result of Counter.Reserve.
type Decision struct {
	// Rejected is the limit that rejects the question, or None.
	Rejected Limit
	// WouldReject are limits in dry run that would have rejected the question.
	WouldReject Set

	// Tightest is the limit that rejects the question, or the limit of questions with the fewest left; None: there is none.
	Tightest Limit
	// Max is the value of Tightest, and Remaining what is left of it.
	Max, Remaining int64
	// Start and Reset are when the period of Tightest began and ends.
	Start, Reset time.Time

	// InFlight means that only the reservations of answers in flight reach the limit: there may be something left when they end.
	InFlight bool
}
