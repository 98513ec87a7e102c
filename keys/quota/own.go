package quota

// Counts are counts of a day and of the month that it is in.
type Counts struct {
	QuestionsDay, QuestionsMonth, TokensDay int64
}

// Add returns the sums of two counts.
func (c Counts) Add(other Counts) Counts {
	return Counts{c.QuestionsDay + other.QuestionsDay, c.QuestionsMonth + other.QuestionsMonth, c.TokensDay + other.TokensDay}
}

// Sub returns the differences of two counts.
func (c Counts) Sub(other Counts) Counts {
	return Counts{c.QuestionsDay - other.QuestionsDay, c.QuestionsMonth - other.QuestionsMonth, c.TokensDay - other.TokensDay}
}

// Max returns the larger one of each of two counts.
func (c Counts) Max(other Counts) Counts {
	return Counts{
		max(c.QuestionsDay, other.QuestionsDay), max(c.QuestionsMonth, other.QuestionsMonth), max(c.TokensDay, other.TokensDay),
	}
}

// Min returns the smaller one of each of two counts.
func (c Counts) Min(other Counts) Counts {
	return Counts{
		min(c.QuestionsDay, other.QuestionsDay), min(c.QuestionsMonth, other.QuestionsMonth), min(c.TokensDay, other.TokensDay),
	}
}

// ownCounts are what this process has counted for a key, in a period.
type ownCounts struct {
	day, month int32
	Counts
}

// add adds to the counts of the period of e.
func (o *ownCounts) add(e *counts, questions, tokens int64) {
	*o = ownCounts{day: e.row.Day, month: e.month, Counts: o.in(e.row.Day, e.month)}
	o.QuestionsDay += questions
	o.QuestionsMonth += questions
	o.TokensDay += tokens
}

// release subtracts a question that was counted in a period.
func (o *ownCounts) release(day, month int32) {
	if o.day == day {
		o.QuestionsDay--
	}
	if o.month == month {
		o.QuestionsMonth--
	}
}

// in returns the counts that belong to a period.
func (o *ownCounts) in(day, month int32) Counts { return o.Counts.In(o.day, o.month, day, month) }

// In returns the part of counts of one day and month that belongs to another.
func (c Counts) In(ofDay, ofMonth, day, month int32) Counts {
	if ofDay != day {
		c.QuestionsDay, c.TokensDay = 0, 0
	}
	if ofMonth != month {
		c.QuestionsMonth = 0
	}
	return c
}
