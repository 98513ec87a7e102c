package bodyquota

import (
	"slices"
	"time"
)

// grant gives a body the usage want, accounted to owner. If the owner's share is exhausted, grant evicts slower bodies and
// waits, with the quota unlocked, until they have freed their part.
func (q *Quota) grant(b *Body, owner string, want usage) error {
	var late <-chan time.Time
	for {
		if b.stopped != nil {
			return b.stopped
		}
		more := want
		if owner == b.owner {
			for r := range resources {
				more[r] -= b.held[r]
			}
		}
		enough, err := q.fits(b, owner, more)
		if err != nil {
			q.forget(owner)
			return err
		}
		if enough {
			q.assign(b, owner, want)
			return nil
		}
		if late == nil {
			timer := time.NewTimer(evictionTime)
			defer timer.Stop()
			late = timer.C
		}
		if q.freed == nil {
			q.freed = make(chan struct{})
		}
		freed := q.freed
		q.mu.Unlock()
		over := false
		select {
		case <-freed:
		case <-late:
			over = true
		}
		q.mu.Lock()
		if over {
			q.forget(owner)
			return ErrBusy
		}
	}
}

// fits reports whether there is enough of all resources now. If it returns false without an error, it has evicted bodies
// that will make room. An error means that there is not enough.
func (q *Quota) fits(b *Body, owner string, more usage) (bool, error) {
	pool := q.poolOf(owner)
	enough := true
	for r, n := range more {
		if n <= 0 {
			continue
		}
		r := resource(r)
		if owner != "" && q.keyed[r]+n > (Shares-1)*q.share[r] {
			return false, ErrBusy
		}
		over := pool.used[r] + n - q.share[r]
		if over <= 0 {
			continue
		}
		enough = false
		if !q.makeRoom(b, owner, r, over-pool.evicting[r]) {
			if owner != "" {
				return false, ErrKeyShare
			}
			return false, ErrBusy
		}
	}
	return enough, nil
}

// makeRoom evicts the slowest bodies of an owner until that much of a resource is about to be freed. If that is not
// possible, it evicts none.
func (q *Quota) makeRoom(b *Body, owner string, r resource, over int64) bool {
	if over <= 0 {
		return true // enough bodies have been evicted already
	}
	now := time.Now()
	var candidates []*Body
	evictable := int64(0)
	for c := q.received.first; c != nil; c = c.next {
		if c != b && c.owner == owner && c.held[r] > 0 && c.stopped == nil && (owner == "" || q.slow(c, now)) {
			candidates = append(candidates, c)
			evictable += c.held[r]
		}
	}
	if evictable < over {
		return false
	}
	for over > 0 && len(candidates) > 0 {
		slowest := 0
		for i, c := range candidates {
			if c.slower(candidates[slowest], now) {
				slowest = i
			}
		}
		c := candidates[slowest]
		candidates = slices.Delete(candidates, slowest, slowest+1)
		if q.stop(c, ErrEvicted) {
			over -= c.held[r]
		}
	}
	return over <= 0 // false if the reads of a body cannot be interrupted: it frees its part later
}

// slow reports whether a body of a key is slow enough to be evicted by another one of the same key.
func (q *Quota) slow(b *Body, now time.Time) bool {
	return !b.young(now) && b.recentRate(now) < float64(slowFactor*q.minRate)
}

// slower orders bodies for eviction. Bodies that have just begun come last, since little is known about their rate.
func (b *Body) slower(other *Body, now time.Time) bool {
	if young := b.young(now); young != other.young(now) {
		return !young
	}
	return b.recentRate(now) < other.recentRate(now)
}

// stop ends the reception of a body. It reports whether the body will free its usage immediately.
func (q *Quota) stop(b *Body, reason error) bool {
	b.stopped = reason
	q.wake()
	if b.connection.InterruptRead() != nil {
		return false
	}
	b.evicted = true
	p := q.poolOf(b.owner)
	for r := range resources {
		p.evicting[r] += b.held[r]
	}
	return true
}

func (b *Body) young(now time.Time) bool { return now.Sub(b.begun) < minAge }

// recentRate returns the rate at which a body was received in the last seconds, in bytes per second.
func (b *Body) recentRate(now time.Time) float64 {
	if b.swept.IsZero() {
		return float64(b.read.Load()) / max(now.Sub(b.begun), time.Second).Seconds()
	}
	return b.rate
}

// sweepSoon starts the timer of sweep, which runs as long as any body is being received.
func (q *Quota) sweepSoon() {
	if !q.sweeping {
		q.sweeping = true
		time.AfterFunc(sweepInterval, q.sweep)
	}
}

// sweep measures the rates and stops bodies that are too slow.
func (q *Quota) sweep() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	enough := q.minRate * int64(window/time.Second)
	for b := q.received.first; b != nil; b = b.next {
		if b.stopped != nil {
			continue
		}
		got := b.read.Load()
		b.measure(now, got)
		switch {
		case got-b.windowRead >= enough:
			b.windowStart, b.windowRead = now, got
		case now.Sub(b.windowStart) >= window:
			q.stop(b, ErrTooSlow)
		}
	}
	q.sweeping = false
	if q.received.first != nil {
		q.sweepSoon()
	}
}

// measure updates the recent rate: an average in which a second weighs four fifths of the one after it.
func (b *Body) measure(now time.Time, got int64) {
	if b.swept.IsZero() {
		b.rate = b.recentRate(now)
	} else if since := now.Sub(b.swept).Seconds(); since > 0 {
		b.rate += (float64(got-b.sweptRead)/since - b.rate) / 5
	}
	b.swept, b.sweptRead = now, got
}
