package shares

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/docsgate/docsgate/inflight"
)

// times are the intervals of the exchange.
type times struct {
	lease       time.Duration // of a share, as the gate measures it
	serverLease time.Duration // the same for the server: longer, so that its clock may be set forward, or be that of a replica
	freeze      time.Duration // in which shares do not grow after the server has lost them; longer than idle
	start       time.Duration // how long requests wait for the first exchange

	soonest   time.Duration // between two exchanges, when a request does not fit into a share that was sufficient before
	contended time.Duration // between two exchanges while a gate waits for a larger share, or the server fails
	active    time.Duration // between two exchanges while requests are in flight
	idle      time.Duration // between two exchanges otherwise
	perNode   time.Duration // between any two exchanges, for each gate
}

var defaultTimes = times{
	lease: 5 * time.Second, serverLease: 10 * time.Second, freeze: 2 * time.Second, start: time.Second,
	soonest: 10 * time.Millisecond, contended: 100 * time.Millisecond, active: 500 * time.Millisecond, idle: 1500 * time.Millisecond, perNode: 5 * time.Millisecond,
}

// group is the share of a class at an upstream. One goroutine makes its exchanges.
type group struct {
	shares                *Shares
	upstream, class, node string

	wake chan struct{}      // receives a value when a request does not fit into the share
	ctx  context.Context    // of the exchanges
	stop context.CancelFunc // called without registrations
	done chan struct{}      // closed when the goroutine has ended

	mu            sync.Mutex // guards registrations and status
	registrations []*registration
	status        Status

	// Only for the goroutine.
	share     int
	of        int // the limit that is shared
	keys      map[inflight.KeyID]*heldKey
	until     time.Time
	leased    bool // there was a reply
	nodes     int  // in the last reply; 0: there was none
	peak      int  // most requests in flight; decreases slowly
	failed    bool // the last exchange
	short     bool // the share is not sufficient
	contended bool // the share of a gate is not sufficient
	returns   bool // a part of the share, with the next exchange
	idle      bool
}

// heldKey is the share of a key.
type heldKey struct {
	share int
	used  time.Time // when the key last needed more than one
}

// registration is a user of a group.
type registration struct {
	server Server
	limits inflight.Limits
}

// current returns the server of the newest registration, and the greatest limits. It returns nil without registrations.
func (g *group) current() (Server, inflight.Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var server Server
	var limits inflight.Limits
	for _, r := range g.registrations {
		server = r.server
		limits.Total, limits.PerKey = max(limits.Total, r.limits.Total), max(limits.PerKey, r.limits.PerKey)
	}
	return server, limits
}

func (g *group) register(r *registration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.registrations = append(g.registrations, r)
}

// unregister removes a user, and reports whether it was the last one.
func (g *group) unregister(r *registration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.registrations = slices.DeleteFunc(g.registrations, func(other *registration) bool { return other == r })
	return len(g.registrations) == 0
}

// run makes exchanges until the group has no registrations.
func (g *group) run(server Server) {
	defer close(g.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		begun := time.Now()
		current, limits := g.current()
		if current == nil {
			break
		}
		server = current
		err := g.exchange(g.ctx, server, limits)
		g.failed = err != nil && g.ctx.Err() == nil
		g.publish()
		if !g.pause(timer, begun) {
			break
		}
	}
	if !g.failed {
		g.leave(server)
	}
}

// pause waits until the next exchange is due. It returns false if there is none.
func (g *group) pause(timer *time.Timer, begun time.Time) bool {
	interval, soonest := g.intervals()
	if g.failed { // requests that wait are admitted when the lease ends
		if left := time.Until(g.until); left > 0 {
			interval = min(interval, left)
		}
	}
	timer.Reset(time.Until(begun.Add(interval)))
	select {
	case <-timer.C:
		return g.ctx.Err() == nil
	case <-g.ctx.Done():
		return false
	case <-g.wake:
	}
	timer.Reset(time.Until(begun.Add(min(soonest, interval))))
	select {
	case <-timer.C:
		return g.ctx.Err() == nil
	case <-g.ctx.Done():
		return false
	}
}

// intervals returns the time to the next exchange, and the time if a request does not fit into the share.
func (g *group) intervals() (interval, soonest time.Duration) {
	t := &g.shares.times
	switch {
	case g.returns:
		return t.soonest, t.soonest
	case g.failed, g.short, g.contended:
		interval = t.contended
	case !g.idle:
		interval = t.active
	default:
		interval = t.idle
	}
	// An exchange takes time in proportion to the number of gates.
	interval = max(interval, min(time.Duration(g.nodes)*t.perNode, t.idle))
	if g.failed || g.short {
		return interval, interval
	}
	return interval, t.soonest
}

// ask lets the goroutine make an exchange soon. It does not block.
func (g *group) ask() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// expire gives up shares whose lease has ended.
func (g *group) expire(now time.Time) {
	if !now.Before(g.until) {
		g.share, g.keys = 0, nil
	}
}

// dropKeys gives up the shares of keys that do not need them. They are published before the server learns of it.
func (g *group) dropKeys(now time.Time) {
	dropped := false
	for key, held := range g.keys {
		if now.Sub(held.used) > keyHold {
			delete(g.keys, key)
			dropped = true
		}
	}
	if dropped {
		g.publish()
	}
}

// publish sets the shares of the limiter.
func (g *group) publish() {
	server, limits := g.current()
	if server == nil {
		return
	}
	nodes := max(g.nodes, server.Nodes())
	share := inflight.Share{
		Total: g.share, Of: g.of, Until: g.until, Fallback: limits.Total / nodes, FallbackPerKey: limits.PerKey / nodes,
	}
	for key, held := range g.keys {
		if held.share > 1 {
			if share.PerKey == nil {
				share.PerKey = make(map[inflight.KeyID]int, len(g.keys))
			}
			share.PerKey[key] = held.share
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.registrations) == 0 {
		return // the limiter has no share any more
	}
	g.status = Status{Upstream: g.upstream, Class: g.class, Share: g.share, Nodes: nodes}
	if !time.Now().Before(g.until) {
		g.status.Share, g.status.Fallback = max(share.Fallback, 1), true
	}
	g.shares.limiter.SetShare(g.upstream, g.class, share, g.ask)
}
