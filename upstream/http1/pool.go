package http1

import (
	"sync"
	"time"
)

// pool contains the idle connections. The one that was used last is used next, so those that are not needed expire.
type pool struct {
	timeout time.Duration
	limit   int

	mu     sync.Mutex
	idle   []*conn     // by idleSince
	timer  *time.Timer // closes expired connections; nil: it was never needed
	armed  bool        // the timer runs
	closed bool        // nothing is kept
}

// get returns the idle connection that was used last, or nil.
func (p *pool) get(now time.Time) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for last := len(p.idle) - 1; last >= 0; last-- {
		c := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		if now.Sub(c.idleSince) < p.timeout {
			return c
		}
		_ = c.nc.Close()
	}
	return nil
}

// put keeps a connection for another request, or closes it.
func (p *pool) put(c *conn) {
	c.idleSince, c.reused = time.Now(), true
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.limit {
		_ = c.nc.Close()
		return
	}
	p.idle = append(p.idle, c)
	if !p.armed {
		p.arm(p.timeout)
	}
}

// arm starts the timer. The caller must hold the mutex.
func (p *pool) arm(d time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
	} else {
		p.timer.Reset(d)
	}
}

// expire closes the connections that have been idle for too long.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, expired := time.Now(), 0
	for expired < len(p.idle) && now.Sub(p.idle[expired].idleSince) >= p.timeout {
		_ = p.idle[expired].nc.Close()
		expired++
	}
	p.drop(expired)
	p.armed = false
	if len(p.idle) > 0 {
		p.arm(p.timeout - now.Sub(p.idle[0].idleSince))
	}
}

// drop removes the first n connections. The caller must hold the mutex.
func (p *pool) drop(n int) {
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
}

// close closes all connections, and those that become idle later.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.nc.Close()
	}
	p.drop(len(p.idle))
	if p.timer != nil {
		p.timer.Stop()
		p.armed = false
	}
}
