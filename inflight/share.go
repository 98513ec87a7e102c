package inflight

import "time"

// Share is what this process may use of the limits of a class at an upstream, while several processes share them.
type Share struct {
	// Total is the number of requests that may be in flight in this process. It may be 0; then requests wait for a larger share.
	Total int

	// PerKey has the number for each key that may have more than one. It must not be changed afterwards.
	PerKey map[KeyID]int

	// Of is the limit that the processes share. A caller whose Limits.Total is lower may use the same fraction of its own limit,
	// rounded up.
	Of int

	// Until is when the share ends, since other processes may get it then. After that, Fallback and FallbackPerKey are in its place, so
	// that the process is neither without a limit nor closed. They are raised to 1, and a request may exceed them if it is alone.
	Until                    time.Time
	Fallback, FallbackPerKey int
}

// share is the share of a group. It is guarded by the limiter's mutex.
type share struct {
	Share

	ask  func() // reports that a request needs more than the share
	peak int    // most requests in flight since the last call of Demand
}

// SetShare sets or replaces the share of a class at an upstream, and admits waiting requests that fit into it. Requests in flight keep
// their slots, also above it. ask is called when a request does not fit into the share; it must not block, and must not call the limiter.
func (l *Limiter) SetShare(upstream, class string, of Share, ask func()) {
	id := groupID{upstream, class}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shares[id]
	if s == nil {
		if l.shares == nil {
			l.shares = map[groupID]*share{}
		}
		s = &share{}
		l.shares[id] = s
	}
	s.Share, s.ask = of, ask
	l.shareChanged(id, s)
}

// RemoveShare ends the sharing of a class at an upstream: the limits are only those of this process again.
func (l *Limiter) RemoveShare(upstream, class string) {
	id := groupID{upstream, class}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.shares, id)
	l.shareChanged(id, nil)
}

// shareChanged admits the requests that fit into a new share. The caller holds mu.
func (l *Limiter) shareChanged(id groupID, s *share) {
	g := l.groups[id]
	if g == nil {
		return
	}
	g.share = s
	if g.queue.Len() == 0 {
		return
	}
	now := time.Now()
	for _, e := range g.entries {
		if e.moved.IsZero() { // the requests began to wait before
			e.moved, g.moved = now, now
		}
		e.updateBlocked()
	}
	g.admit()
}

// noteWaiting notes that a request of a key begins to wait. The caller holds mu.
func (e *entry) noteWaiting(now time.Time) {
	if e.waiting.Len() == 1 {
		e.moved = now
	}
	if e.group.queue.Len() == 1 {
		e.group.moved = now
	}
}

// fitsTotal reports whether the share admits a request.
func (s *share) fitsTotal(g *group, cost int, limits Limits) bool {
	total := s.Total
	if !time.Now().Before(s.Until) {
		if g.inFlight == 0 {
			return true
		}
		total = max(s.Fallback, 1)
	}
	if limits.Total < s.Of {
		total = (total*limits.Total + s.Of - 1) / s.Of
	}
	return g.inFlight+cost <= min(total, limits.Total)
}

// fitsKey reports whether the share of a key admits a request.
func (s *share) fitsKey(e *entry, cost int, limits Limits) bool {
	perKey := max(s.PerKey[e.key], 1)
	if !time.Now().Before(s.Until) {
		if e.inFlight == 0 {
			return true
		}
		perKey = max(s.FallbackPerKey, 1)
	}
	return e.inFlight+cost <= min(perKey, limits.PerKey)
}

// Demand is what the requests of a class at an upstream need. All numbers are sums of costs.
type Demand struct {
	InFlight int
	Peak     int // most requests in flight since the last call
	Waiting  int // waiting requests of the keys that are not in Keys
	Next     int // the greatest cost of a waiting request, at least 1

	// Stalled is the time since a waiting request last got a slot, or since requests began to wait. 0: none wait.
	Stalled time.Duration

	// Keys has the keys that need more than one request in flight. Their waiting requests are counted up to the limit of a key.
	Keys map[KeyID]KeyDemand
}

// KeyDemand is what the requests of a key need.
type KeyDemand struct {
	InFlight, Waiting int
	Next              int // the cost of the request that is the next one of the key, at least 1
	Stalled           time.Duration
}

// Demand returns what the requests of a class at an upstream need if a key may have perKey in flight. It takes time in proportion to the
// number of keys with requests.
func (l *Limiter) Demand(upstream, class string, perKey int) Demand {
	d := Demand{Next: 1}
	id := groupID{upstream, class}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[id]
	if s := l.shares[id]; s != nil {
		d.Peak, s.peak = s.peak, 0
		if g != nil {
			s.peak = g.inFlight
		}
	}
	if g == nil {
		return d
	}
	d.InFlight = g.inFlight
	now := time.Now()
	if g.queue.Len() > 0 {
		d.Stalled = now.Sub(g.moved)
	}
	for key, e := range g.entries {
		k := KeyDemand{InFlight: e.inFlight, Waiting: max(0, min(e.waitingCost, perKey-e.inFlight)), Next: 1}
		if next := g.queue.NextOf(&e.waiting); next != nil {
			k.Next, k.Stalled = next.Value.cost, now.Sub(e.moved)
			d.Next = max(d.Next, k.Next)
		}
		if k.InFlight+k.Waiting <= 1 {
			d.Waiting += k.Waiting
			continue
		}
		if d.Keys == nil {
			d.Keys = map[KeyID]KeyDemand{}
		}
		d.Keys[key] = k
	}
	return d
}
