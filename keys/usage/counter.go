package usage

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * 60 // minutes
)

// counter is the usage of one key. It has 64 bytes: every used key has one, and no two counters share a cache line. Times are
// Unix minutes and Unix hours in 32 bits.
//
// Counting in the current hour takes no lock. The window is advanced, and read as a whole, under the lock of the counter's
// shard, which also guards past and busy, and is held during changes of state.
type counter struct {
	id        string
	state     atomic.Uint32 // the newest hour with requests shifted left by 1, plus 1 if the counter is in its shard's list of changes
	last, old atomic.Int32  // see Row.LastUsed, OldLastUsed
	requests  atomic.Uint32 // in the newest hour
	overflow  *hours        // used instead of past if a number does not fit there
	past      [Hours - 1]uint8
}

// hours is the number of requests in each hour before the newest one, at the index hour modulo length.
type hours [Hours - 1]uint32

func (c *counter) newest() int32 { return int32(c.state.Load() >> 1) }

// dirty reports whether the counter is in its shard's list of changes.
func (c *counter) dirty() bool { return c.state.Load()&1 == 1 }

// setState sets the newest hour, and whether the counter is in the list of changes. The caller holds the lock.
func (c *counter) setState(newest int32, dirty bool) {
	state := uint32(newest) << 1
	if dirty {
		state++
	}
	c.state.Store(state)
}

// tryIncrement counts one request if its hour is the newest one; otherwise the caller must use hitOther. If the window is advanced
// concurrently, the request may be counted in the next hour.
func (c *counter) tryIncrement(hour int32) bool {
	if c.newest() != hour {
		return false
	}
	c.requests.Add(1)
	return true
}

// hitOther counts one request in any hour. The caller holds the lock.
func (c *counter) hitOther(hour int32) {
	c.advance(hour)
	if hour == c.newest() {
		c.requests.Add(1)
	} else {
		c.set(hour, c.before(hour)+1)
	}
}

// advance advances the window so that it contains an hour. If the clock was set back by less than the window, the hour is
// already in it. If the clock was set back further, it was wrong before, and the counts are discarded. The caller holds the
// lock.
func (c *counter) advance(hour int32) {
	newest := c.newest()
	switch {
	case hour > newest && hour-newest < Hours:
		c.set(newest, c.requests.Swap(0))
		for h := newest + 1; h < hour; h++ {
			c.set(h, 0)
		}
	case hour <= newest && newest-hour < Hours:
		return
	default:
		c.requests.Store(0)
		c.past, c.overflow = [Hours - 1]uint8{}, nil
	}
	c.setState(hour, c.dirty())
	if c.overflow != nil && slices.Max(c.overflow[:]) <= math.MaxUint8 {
		for i, n := range c.overflow {
			c.past[i] = uint8(n)
		}
		c.overflow = nil
	}
}

// before returns the requests in an hour of the window before the newest hour. The caller holds the lock.
func (c *counter) before(hour int32) uint32 {
	if c.overflow != nil {
		return c.overflow[hour%(Hours-1)]
	}
	return uint32(c.past[hour%(Hours-1)])
}

// set sets the requests in such an hour. The caller holds the lock.
func (c *counter) set(hour int32, n uint32) {
	if c.overflow == nil && n > math.MaxUint8 {
		c.overflow = new(hours)
		for i, n := range c.past {
			c.overflow[i] = uint32(n)
		}
	}
	if c.overflow != nil {
		c.overflow[hour%(Hours-1)] = n
	} else {
		c.past[hour%(Hours-1)] = uint8(n)
	}
}

// window returns the requests in the 24 hours that end with last. The caller holds the lock.
func (c *counter) window(last int32) (requests [Hours]uint32) {
	newest := c.newest()
	for i := range requests {
		switch h := last - Hours + 1 + int32(i); {
		case h == newest:
			requests[i] = c.requests.Load()
		case h >= 0 && h < newest && newest-h < Hours:
			requests[i] = c.before(h)
		}
	}
	return requests
}

// row returns the stored form. The caller holds the lock.
func (c *counter) row() Row {
	newest := c.newest()
	return Row{
		ID: c.id, LastUsed: int64(c.last.Load()), OldLastUsed: int64(c.old.Load()),
		Hour: int64(newest), Requests: c.window(newest),
	}
}

// restore sets the counter to a stored row. The caller holds the lock.
func (c *counter) restore(r Row) {
	newest := clamp(r.Hour)
	c.setState(newest, c.dirty())
	c.overflow = nil
	c.requests.Store(r.Requests[Hours-1])
	for i, n := range r.Requests[:Hours-1] {
		if h := newest - Hours + 1 + int32(i); h >= 0 {
			c.set(h, n)
		}
	}
	c.last.Store(clamp(r.LastUsed))
	c.old.Store(clamp(r.OldLastUsed))
}

// setLatest sets a time to a minute, unless it already is later. Requests may arrive out of order and clocks may be set back
// slightly, so the latest time is used. A time more than a day ahead was set by a wrong clock and is replaced.
func setLatest(at *atomic.Int32, minute int32) {
	for {
		current := at.Load()
		if current >= minute && current-minute < day {
			return
		}
		if at.CompareAndSwap(current, minute) {
			return
		}
	}
}

// clamp limits a number of minutes or hours to 32 bits, which is sufficient until the year 6000.
func clamp(n int64) int32 { return int32(max(0, min(n, 1<<31-1-Hours))) }

// timeOf returns the time of a Unix minute.
func timeOf(minutes int32) time.Time {
	if minutes == 0 {
		return time.Time{}
	}
	return time.Unix(int64(minutes)*minute, 0).UTC()
}
