package keyindex

import (
	"sync/atomic"
	"time"
)

// Looking up the last use of a million keys takes half a second, so a chunk caches it. A page that needs many lookups does as many
// as lookupBudget allows, uses what is cached for the rest, and leaves the rest to a goroutine.
const (
	lookupBudget = 50 * time.Millisecond
	lastUseTTL   = 10 * time.Second
)

// lastUses are the last uses of the keys of a chunk, in Unix minutes.
type lastUses struct {
	at      time.Time
	minutes []uint32
}

func (u *lastUses) isFresh() bool { return u != nil && time.Since(u.at) < lastUseTTL }

// lookUp returns the last uses of the keys of a chunk, and caches them.
func (c *chunk) lookUp(lastUsed func(id string) uint32) *lastUses {
	u := &lastUses{time.Now(), make([]uint32, len(c.entries))}
	for i := range c.entries {
		u.minutes[i] = lastUsed(c.entries[i].key.ID)
	}
	c.used.Store(u)
	return u
}

// lastUses returns the last uses of the keys of a chunk, as far as they are known until the deadline; nil: none.
func (m *matcher) lastUses(c *chunk, deadline time.Time, stale *atomic.Bool) *lastUses {
	u := c.used.Load()
	switch {
	case u.isFresh():
	case time.Now().Before(deadline):
		u = c.lookUp(m.LastUsed)
	default:
		stale.Store(true)
	}
	return u
}

// refresh looks up the last uses of all keys in the background, unless that is already being done.
func (c *Index) refresh(chunks []*chunk, lastUsed func(id string) uint32) {
	if !c.refreshing.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer c.refreshing.Store(false)
		for _, one := range chunks {
			if !one.used.Load().isFresh() {
				one.lookUp(lastUsed)
			}
		}
	}()
}
