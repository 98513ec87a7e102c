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

// counter is the use of one key: 64 bytes, since every key that was ever used has one, and so that no two count in the same
// cache line. Times are Unix minutes and hours in 32 bits.
//
// Counting in the hour that is under way takes no lock. The window is moved on, and read as a whole, under the lock of the
// counter's shard, which also guards past and busy, and is held to change state.
type counter struct {
	id        string
	state     atomic.Uint32 // twice the newest hour that was counted in, and 1 if it stands in its shard's list of changes
	last, old atomic.Int32  // see Row.LastUsed, OldLastUsed
	requests  atomic.Uint32 // in the newest hour
	busy      *hours        // in place of past, if one of its numbers is too large for that
	past      [Hours - 1]uint8
}

// hours are the requests of the hours before the newest one, each at its number modulo their length.
type hours [Hours - 1]uint32

func (c *counter) newest() int32 { return int32(c.state.Load() >> 1) }

// noted tells whether the counter stands in its shard's list of changes.
func (c *counter) noted() bool { return c.state.Load()&1 == 1 }

// setState takes a newest hour, and whether the counter is noted. The caller holds the lock.
func (c *counter) setState(newest int32, noted bool) {
	state := uint32(newest) << 1
	if noted {
		state++
	}
	c.state.Store(state)
}

// hit counts one request, if its hour is the newest one; else it must be done by hitOther. If the window is moved on at that
// very moment the request may count in the next hour.
func (c *counter) hit(hour int32) bool {
	if c.newest() != hour {
		return false
	}
	c.requests.Add(1)
	return true
}

// hitOther counts one request of an hour that is perhaps not the newest one. The caller holds the lock.
func (c *counter) hitOther(hour int32) {
	c.moveTo(hour)
	if hour == c.newest() {
		c.requests.Add(1)
	} else {
		c.set(hour, c.before(hour)+1)
	}
}

// moveTo brings an hour into the window. A clock that goes back by less than the window finds its hour there; one that goes
// back farther was wrong before, and so is what was counted by it. The caller holds the lock.
func (c *counter) moveTo(hour int32) {
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
		c.past, c.busy = [Hours - 1]uint8{}, nil
	}
	c.setState(hour, c.noted())
	if c.busy != nil && slices.Max(c.busy[:]) <= math.MaxUint8 {
		for i, n := range c.busy {
			c.past[i] = uint8(n)
		}
		c.busy = nil
	}
}

// before returns the requests of an hour in the window, before the newest. The caller holds the lock.
func (c *counter) before(hour int32) uint32 {
	if c.busy != nil {
		return c.busy[hour%(Hours-1)]
	}
	return uint32(c.past[hour%(Hours-1)])
}

// set notes the requests of such an hour. The caller holds the lock.
func (c *counter) set(hour int32, n uint32) {
	if c.busy == nil && n > math.MaxUint8 {
		c.busy = new(hours)
		for i, n := range c.past {
			c.busy[i] = uint32(n)
		}
	}
	if c.busy != nil {
		c.busy[hour%(Hours-1)] = n
	} else {
		c.past[hour%(Hours-1)] = uint8(n)
	}
}

// window returns the requests of the 24 hours that end with one. The caller holds the lock.
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

// row returns what is to be saved. The caller holds the lock.
func (c *counter) row() Row {
	newest := c.newest()
	return Row{
		ID: c.id, LastUsed: int64(c.last.Load()), OldLastUsed: int64(c.old.Load()),
		Hour: int64(newest), Requests: c.window(newest),
	}
}

// restore takes over what was saved. The caller holds the lock.
func (c *counter) restore(r Row) {
	newest := clamp(r.Hour)
	c.setState(newest, c.noted())
	c.requests.Store(r.Requests[Hours-1])
	for i, n := range r.Requests[:Hours-1] {
		if h := newest - Hours + 1 + int32(i); h >= 0 {
			c.set(h, n)
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
