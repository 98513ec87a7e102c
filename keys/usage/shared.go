package usage

import (
	"math"
	"time"
)

// Share makes the counter one of several gates that share totals: TakeDeltas and SetTotals may be used from then on, TakeDirty may not. It
// must be called before the first Count. A key that this gate has counted needs twice the memory.
func (m *Counter) Share() { m.totals = NewMeter() }

// TakeDeltas returns at most limit rows with what was counted since the last call, and with the last uses. They are counted in the
// totals of this counter from then on.
func (m *Counter) TakeDeltas(limit int) (deltas []Row) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n := min(len(s.changed), limit-len(deltas))
		for _, c := range s.changed[:n] {
			c.setState(c.newest(), false) // before the row is taken; see noteChange
			deltas = append(deltas, c.takeRow())
		}
		if s.changed = s.changed[n:]; len(s.changed) == 0 {
			s.changed = nil
		}
		s.mu.Unlock()
	}
	for i := range deltas {
		m.totals.add(&deltas[i])
	}
	return deltas
}

// takeRow returns the row, and resets the numbers of requests. The caller holds the lock.
func (c *counter) takeRow() Row {
	requests := c.requests.Swap(0) // a concurrent count is in this row or in the next one
	r := c.row()
	r.Requests[Hours-1] = requests
	c.past, c.overflow = [Hours - 1]uint8{}, nil
	return r
}

// SetTotals replaces the totals of keys. They must contain the deltas that were taken before.
func (m *Counter) SetTotals(totals []Row) {
	for i := range totals {
		m.totals.Restore(totals[i])
	}
}

// add adds a delta to the row of a key.
func (m *Counter) add(delta *Row) {
	hash := m.hash(delta.ID)
	s := m.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counter(m, hash, delta.ID)
	c.restore(c.row().plus(delta))
}

// AddDelta adds what a gate has counted to a total. now is the time of the storage: what is more than an hour ahead of it was counted
// with a wrong clock, and is moved to its hour. Requests in hours that are over for the total are dropped.
func (r Row) AddDelta(delta Row, now time.Time) Row {
	delta.limit(now)
	r.limit(now)
	return r.plus(&delta)
}

// limit moves times that are ahead to now.
func (r *Row) limit(now time.Time) {
	if hours := now.Unix() / hour; r.Hour > hours+1 {
		r.Hour = hours
	}
	minutes := now.Unix() / minute
	if r.LastUsed > minutes+hour/minute {
		r.LastUsed = minutes
	}
	if r.OldLastUsed > minutes+hour/minute {
		r.OldLastUsed = minutes
	}
}

// plus returns the sum of a total and a delta. The latest times are its times.
func (r Row) plus(delta *Row) Row {
	sum := Row{
		ID: delta.ID, LastUsed: max(r.LastUsed, delta.LastUsed), OldLastUsed: max(r.OldLastUsed, delta.OldLastUsed),
		Hour: max(r.Hour, delta.Hour),
	}
	for _, part := range []*Row{&r, delta} {
		for i, n := range part.Requests {
			if i := int64(i) - (sum.Hour - part.Hour); i >= 0 {
				sum.Requests[i] = saturated(sum.Requests[i], n)
			}
		}
	}
	return sum
}

// add adds the usage that another counter has of the same key.
func (u *Stats) add(other Stats) {
	if other.LastUsed.After(u.LastUsed) {
		u.LastUsed = other.LastUsed
	}
	if other.OldLastUsed.After(u.OldLastUsed) {
		u.OldLastUsed = other.OldLastUsed
	}
	for i := range u.Requests {
		u.Requests[i] = saturated(u.Requests[i], other.Requests[i])
	}
}

// saturated returns the sum, or the largest number.
func saturated(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), math.MaxUint32)) }
