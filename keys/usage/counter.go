package usage

import (
	"sync/atomic"
	"time"
)

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * 60 // minutes
)

// counter is the use of one key: 128 bytes, since every key that was ever used has one. Times are Unix minutes and hours
// in 32 bits.
//
// Counting in the hour that is under way takes no lock. The window is moved on, and read as a whole, under the lock of the
// counter's shard.
type counter struct {
	id        string
	hour      atomic.Int32 // the newest hour that was counted in
	last, old atomic.Int32 // see Row.LastUsed, OldLastUsed
	changed   atomic.Bool  // it stands in its shard's list of changes
	requests  [Hours]atomic.Uint32
}

// hit counts one request, if its hour is the newest one; else it must be done by hitOther.
func (c *counter) hit(hour int32) bool {
	if c.hour.Load() != hour {
		return false
	}
	c.slot(hour).Add(1)
	return true
}

// hitOther counts one request of an hour that is perhaps not the newest one. The caller holds the lock.
func (c *counter) hitOther(hour int32) {
	c.moveTo(hour)
	c.slot(hour).Add(1)
}

// moveTo brings an hour into the window. A clock that goes back by less than the window finds its hour there; one that goes
// back farther was wrong before, and so is what was counted by it. The caller holds the lock.
func (c *counter) moveTo(hour int32) {
	newest := c.hour.Load()
	switch {
	case hour > newest && hour-newest < Hours:
		for h := newest + 1; h <= hour; h++ {
			c.slot(h).Store(0)
		}
	case hour <= newest && newest-hour < Hours:
		return
	default:
		for i := range c.requests {
			c.requests[i].Store(0)
		}
	}
	c.hour.Store(hour)
}

func (c *counter) slot(hour int32) *atomic.Uint32 { return &c.requests[hour%Hours] }

// window returns the requests of the 24 hours that end with one. The caller holds the lock.
func (c *counter) window(last int32) (requests [Hours]uint32) {
	newest := c.hour.Load()
	for i := range requests {
		h := last - Hours + 1 + int32(i)
		if h >= 0 && h <= newest && newest-h < Hours {
			requests[i] = c.slot(h).Load()
		}
	}
	return requests
}

// row returns what is to be saved. The caller holds the lock.
func (c *counter) row() Row {
	newest := c.hour.Load()
	return Row{
		ID: c.id, LastUsed: int64(c.last.Load()), OldLastUsed: int64(c.old.Load()),
		Hour: int64(newest), Requests: c.window(newest),
	}
}

// restore takes over what was saved. The caller holds the lock.
func (c *counter) restore(r Row) {
	newest := clamp(r.Hour)
	c.hour.Store(newest)
	for i, n := range r.Requests {
		if h := newest - Hours + 1 + int32(i); h >= 0 {
			c.slot(h).Store(n)
		}
	}
	c.last.Store(clamp(r.LastUsed))
	c.old.Store(clamp(r.OldLastUsed))
}

// mark notes that something happened in a minute. Requests overtake each other and clocks are set back a bit, so the
// latest counts; what is more than a day ahead was noted by a clock that was wrong.
func mark(at *atomic.Int32, minute int32) {
	for {
		noted := at.Load()
		if noted >= minute && noted-minute < day {
			return
		}
		if at.CompareAndSwap(noted, minute) {
			return
		}
	}
}

// clamp fits a number of minutes or hours into 32 bits: those go as far as the year 6000.
func clamp(n int64) int32 { return int32(max(0, min(n, 1<<31-1-Hours))) }

// timeOf is the inverse of a Unix minute.
func timeOf(minutes int32) time.Time {
	if minutes == 0 {
		return time.Time{}
	}
	return time.Unix(int64(minutes)*minute, 0).UTC()
}
