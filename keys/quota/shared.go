package quota

import "slices"

// The counts of a key contain those of other gates: they are the total that was read last, and what was counted since then.

// takeDeltas returns at most limit deltas between the counts and the totals. They will be added, so from now on they are part of the totals.
func (c *Counter) takeDeltas(limit int) (deltas []Row) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n := 0
		for ; n < len(s.changed) && len(deltas) < limit; n++ {
			e := s.changed[n]
			e.dirty = false
			total := e.inTotal()
			delta := e.row.since(total)
			changed := delta.counted() || e.row.MeanTokens != total.MeanTokens
			e.setTotal(e.row)
			if changed && s.keys[e.row.ID] == e { // it has not expired
				deltas = append(deltas, delta)
			}
		}
		s.changed = slices.Delete(s.changed, 0, n)
		s.expired = nil // the storage removes expired rows itself
		s.mu.Unlock()
	}
	return deltas
}

// applyTotals replaces what is known of the totals. p is the current period.
func (c *Counter) applyTotals(totals []Row, p *Period) {
	c.eachTotal(totals, p, func(e *counts, total Row) {
		// The total has an earlier day if this gate's clock was ahead by more than a day: its counts were not added.
		if before := e.inTotal(); total.Day >= before.Day {
			e.row = total.plus(e.row.since(before))
			e.setTotal(total)
		}
	})
}

// mergeTotals is applyTotals for counts that may contain some of the totals.
func (c *Counter) mergeTotals(totals []Row, p *Period) {
	c.eachTotal(totals, p, func(e *counts, total Row) {
		e.row = e.row.larger(total)
		e.setTotal(total)
	})
}

func (c *Counter) eachTotal(totals []Row, p *Period, apply func(e *counts, total Row)) {
	for _, total := range totals {
		if total.Day > p.day+1 {
			continue // this gate's clock lags by more than a day, so the total would begin again with each question
		}
		s := c.shardOf(total.ID)
		s.mu.Lock()
		e := s.keys[total.ID]
		switch {
		case e != nil:
			apply(e, total)
			e.month = monthOf(e.row.Day)
		case !total.expired(p.day, p.month):
			s.keys[total.ID] = &counts{row: total, total: &total, month: monthOf(total.Day)}
		}
		s.mu.Unlock()
	}
}

// forgetTotals is called before the totals of another storage are merged.
func (c *Counter) forgetTotals() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, e := range s.keys {
			e.total = nil
			s.markChanged(e)
		}
		s.mu.Unlock()
	}
}

// inTotal returns the part of the row that is in the total.
func (c *counts) inTotal() Row {
	if c.total == nil {
		return Row{}
	}
	return *c.total
}

func (c *counts) setTotal(r Row) {
	if c.total == nil {
		c.total = new(Row)
	}
	*c.total = r
}
