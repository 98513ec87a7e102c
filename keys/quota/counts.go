package quota

const (
	// firstReservation is the number of tokens that is reserved for an answer of a key without a mean: about a prompt with two
	// chunks of a source, and an answer.
	firstReservation = 2000

	// maxReservation is the largest number of tokens that is reserved for one answer, so that one large answer does not let the
	// mean block a key.
	maxReservation = 100_000

	// meanWeight is the inverse of the weight of the newest answer in the mean.
	meanWeight = 8
)

// counts are the counts of one key. They are guarded by the shard's mutex.
type counts struct {
	row      Row
	own      ownCounts
	total    *Row  // with a SharedStorage: the part of row that is in the total of all gates; nil: nothing
	month    int32 // of row.Day
	reserved int64 // tokens of answers in flight
	open     int   // reservations
	dirty    bool  // the row is in the shard's list of changes
}

// moveTo begins a new day or month if p is later. Counts of a day that is ahead are kept for a day: the clock may have been set back,
// or the time zone changed, neither of which must replenish a quota.
func (c *counts) moveTo(p *Period) {
	if p.day == c.row.Day || p.day == c.row.Day-1 {
		return
	}
	if p.month != c.month {
		c.row.QuestionsMonth = 0
	}
	c.row.Day, c.month = p.day, p.month
	c.row.QuestionsDay, c.row.TokensDay, c.row.EstimatedDay = 0, 0, 0
}

// reservation returns the number of tokens to reserve for an answer.
func (c *counts) reservation() int64 {
	if c.row.MeanTokens == 0 {
		return firstReservation
	}
	return min(c.row.MeanTokens, maxReservation)
}

// addAnswer counts the tokens of an answer.
func (c *counts) addAnswer(tokens int64) {
	c.row.TokensDay += tokens
	c.own.add(c, 0, tokens)
	c.addToMean(tokens)
}

// addToMean adds the tokens of an answer to the running mean.
func (c *counts) addToMean(tokens int64) {
	sample := min(tokens, maxReservation)
	switch {
	case sample <= 0: // an error, which says nothing about other answers
	case c.row.MeanTokens == 0:
		c.row.MeanTokens = sample
	default:
		c.row.MeanTokens += (sample - c.row.MeanTokens) / meanWeight
		c.row.MeanTokens = max(c.row.MeanTokens, 1)
	}
}

// check decides on a question, and describes the limit that matters most to the client.
func (c *counts) check(p *Period, l Limits, dryRun Set) (d Decision) {
	row := &c.row
	// The limit that is reset last is the first one.
	if l.QuestionsPerMonth > 0 && row.QuestionsMonth >= l.QuestionsPerMonth {
		d.exceed(QuestionsPerMonth, dryRun)
	}
	if l.QuestionsPerDay > 0 && row.QuestionsDay >= l.QuestionsPerDay {
		d.exceed(QuestionsPerDay, dryRun)
	}
	if l.TokensPerDay > 0 && row.TokensDay+c.reserved >= l.TokensPerDay {
		d.exceed(TokensPerDay, dryRun)
	}
	switch d.Rejected {
	case TokensPerDay:
		d.Tightest, d.Max = TokensPerDay, l.TokensPerDay
		d.InFlight = row.TokensDay < l.TokensPerDay
	case QuestionsPerDay:
		d.Tightest, d.Max = QuestionsPerDay, l.QuestionsPerDay
	case QuestionsPerMonth:
		d.Tightest, d.Max = QuestionsPerMonth, l.QuestionsPerMonth
	case None:
		// After this question.
		day, month := l.QuestionsPerDay-row.QuestionsDay-1, l.QuestionsPerMonth-row.QuestionsMonth-1
		if l.QuestionsPerDay > 0 && !dryRun.Has(QuestionsPerDay) {
			d.Tightest, d.Max, d.Remaining = QuestionsPerDay, l.QuestionsPerDay, day
		}
		if l.QuestionsPerMonth > 0 && !dryRun.Has(QuestionsPerMonth) && (d.Tightest == None || month < day) {
			d.Tightest, d.Max, d.Remaining = QuestionsPerMonth, l.QuestionsPerMonth, month
		}
	}
	d.Start, d.Reset = p.DayStart, p.DayEnd
	if d.Tightest == QuestionsPerMonth {
		d.Start, d.Reset = p.MonthStart, p.MonthEnd
	}
	return d
}

// exceed records that a limit is exceeded.
func (d *Decision) exceed(l Limit, dryRun Set) {
	switch {
	case dryRun.Has(l):
		d.WouldReject |= Of(l)
	case d.Rejected == None:
		d.Rejected = l
	}
}
