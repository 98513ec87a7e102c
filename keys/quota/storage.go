package quota

import "context"

// Row is what is stored of a key.
type Row struct {
	ID             string
	Day            int32 // days since 1970-01-01, in the time zone of the quotas
	QuestionsDay   int64
	QuestionsMonth int64 // in the month of Day
	TokensDay      int64
	EstimatedDay   int64 // the part of TokensDay that is estimated
	MeanTokens     int64 // running mean of the tokens of an answer; 0: unknown
}

// Storage durably stores the rows of keys. It is safe for concurrent use.
type Storage interface {
	// SaveQuotas stores rows, replacing those of the same keys, and removes the rows of other keys. After an error some of that may
	// be done.
	SaveQuotas(ctx context.Context, rows []Row, remove []string) error

	// Quotas calls yield for each stored row. An error of yield stops it and is returned.
	Quotas(ctx context.Context, yield func(Row) error) error
}

// takeChanges returns the rows that have changed since the last call, and the keys whose rows must be removed.
func (c *Counter) takeChanges() (rows []Row, remove []string) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, e := range s.changed {
			e.dirty = false
			if s.keys[e.row.ID] == e { // it has not expired
				rows = append(rows, e.row)
			}
		}
		clear(s.changed)
		s.changed = s.changed[:0]
		for _, key := range s.expired {
			if s.keys[key] == nil { // it was not used again
				remove = append(remove, key)
			}
		}
		s.expired = nil
		s.mu.Unlock()
	}
	return rows, remove
}

// returnChanges undoes takeChanges.
func (c *Counter) returnChanges(rows []Row, remove []string) {
	for i := range rows {
		c.markKey(rows[i].ID)
	}
	for _, key := range remove {
		s := c.shardOf(key)
		s.mu.Lock()
		s.expired = append(s.expired, key)
		s.mu.Unlock()
	}
}

func (c *Counter) markKey(key string) {
	s := c.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.keys[key]; e != nil {
		s.markChanged(e)
	}
}

// markAll lists all rows to be saved, for another storage.
func (c *Counter) markAll() { c.markOthers(nil) }

// markOthers lists the rows to be saved that a storage does not have.
func (c *Counter) markOthers(stored map[string]Row) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for key, e := range s.keys {
			if stored[key] != e.row {
				s.markChanged(e)
			}
		}
		s.mu.Unlock()
	}
}

// restore merges a stored row into the counts. With add, the counts so far are of questions that the row does not contain; otherwise
// they may contain some of the row's.
func (c *Counter) restore(row Row, add bool) {
	s := c.shardOf(row.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	month := monthOf(row.Day)
	e := s.keys[row.ID]
	if e == nil {
		s.keys[row.ID] = &counts{row: row, month: month}
		return
	}
	if month == e.month {
		e.row.QuestionsMonth = merge(e.row.QuestionsMonth, row.QuestionsMonth, add)
	}
	if row.Day == e.row.Day {
		e.row.QuestionsDay = merge(e.row.QuestionsDay, row.QuestionsDay, add)
		e.row.TokensDay = merge(e.row.TokensDay, row.TokensDay, add)
		e.row.EstimatedDay = merge(e.row.EstimatedDay, row.EstimatedDay, add)
	}
	if e.row.MeanTokens == 0 {
		e.row.MeanTokens = row.MeanTokens
	}
}

func merge(a, b int64, add bool) int64 {
	if add {
		return a + b
	}
	return max(a, b)
}

// expire removes keys that were not used in the month of p.
func (c *Counter) expire(p *Period) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for key, e := range s.keys {
			if e.open == 0 && e.row.expired(p.day, p.month) {
				delete(s.keys, key)
				s.expired = append(s.expired, key)
			}
		}
		s.mu.Unlock()
	}
}
