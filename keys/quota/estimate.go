package quota

// Estimate is an estimated number of tokens that is counted for an answer. It must be ended with Correct or Keep; until then the
// answer is not part of the running mean. The zero value is none, and its methods have no effect. It is used by one goroutine at a
// time.
type Estimate struct {
	shard  *shard
	counts *counts // nil: none, or it has ended
	day    int32   // that the tokens count towards
	tokens int64
}

// SettleEstimate is Settle with an estimate.
func (r *Reservation) SettleEstimate(p *Period, tokens int64) (e Estimate) {
	r.end(false, func(c *counts) {
		c.moveTo(p)
		e = Estimate{shard: r.shard, counts: c, day: c.row.Day, tokens: max(tokens, 0)}
		c.row.TokensDay += e.tokens
		c.row.EstimatedDay += e.tokens
		c.own.add(c, 0, e.tokens)
	})
	return e
}

// Tokens returns the estimated number.
func (e *Estimate) Tokens() int64 { return e.tokens }

// Correct replaces the estimate by the exact number, in the day that the estimate counts towards, unless that day is over.
func (e *Estimate) Correct(tokens int64) {
	tokens = max(tokens, 0)
	e.end(func(c *counts) {
		if c.row.Day == e.day {
			c.row.TokensDay = max(c.row.TokensDay+tokens-e.tokens, 0)
			c.row.EstimatedDay = max(c.row.EstimatedDay-e.tokens, 0)
		}
		if c.own.day == e.day {
			c.own.TokensDay += tokens - e.tokens
		}
		c.addToMean(tokens)
	})
}

// Keep leaves the estimate as it is.
func (e *Estimate) Keep() {
	e.end(func(c *counts) { c.addToMean(e.tokens) })
}

func (e *Estimate) end(count func(*counts)) {
	c := e.counts
	if c == nil {
		return
	}
	e.counts = nil
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	count(c)
	e.shard.markChanged(c)
}
