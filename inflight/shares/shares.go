package shares

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/inflight"
)

// Server is a connection to Redis or Valkey. It is safe for concurrent use.
type Server interface {
	// Run runs a script and returns its result. It returns an error soon if the server is unavailable.
	Run(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error)

	// Key returns the name of a key. The tag decides on the slot of a Redis Cluster, and contains no braces.
	Key(tag, name string) string

	// Nodes returns the last known number of gates, at least 1.
	Nodes() int
}

// Shares are the shares of this process of limits of requests in flight. It is safe for concurrent use.
type Shares struct {
	limiter *inflight.Limiter
	node    string // name of this process
	times   times

	mu     sync.Mutex // guards groups and joined
	groups map[[2]string]*group
	joined int // groups since the start
}

// New returns the shares of the limits of a limiter. It has no effect before the first call of Join.
func New(limiter *inflight.Limiter) *Shares {
	return &Shares{limiter: limiter, node: rand.Text(), times: defaultTimes, groups: map[[2]string]*group{}}
}

// Join shares the limits of a class at an upstream with other gates, and returns a function that ends it. The server is used until then.
// Callers that have joined the same class share the greatest limits, and use the server of the newest call. All gates share the lowest
// limits of any of them.
//
// Until the first exchange, which takes a second at most, requests wait.
func (s *Shares) Join(server Server, upstream, class string, limits inflight.Limits) (leave func()) {
	id := [2]string{upstream, class}
	r := &registration{server, limits}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[id]
	if g == nil {
		g = s.newGroup(upstream, class)
		s.groups[id] = g
		g.register(r)
		g.publish()
		go g.run(server)
	} else {
		g.register(r)
		g.ask()
	}
	return sync.OnceFunc(func() { s.leave(g, r) })
}

func (s *Shares) newGroup(upstream, class string) *group {
	s.joined++
	g := &group{
		shares: s, upstream: upstream, class: class, node: fmt.Sprintf("%s-%d", s.node, s.joined),
		wake: make(chan struct{}, 1), done: make(chan struct{}), until: time.Now().Add(s.times.start),
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	return g
}

// leave removes a registration. The last one ends the group; then it waits until the other gates know, if the server responds.
func (s *Shares) leave(g *group, r *registration) {
	s.mu.Lock()
	last := g.unregister(r)
	if last {
		delete(s.groups, [2]string{g.upstream, g.class})
		s.limiter.RemoveShare(g.upstream, g.class)
	}
	s.mu.Unlock()
	if last {
		g.stop()
		<-g.done
	}
}

// Status is the state of a share.
type Status struct {
	Upstream, Class string

	Share    int  // requests that may be in flight at this gate
	Nodes    int  // gates that share the limit, including this one
	Fallback bool // the lease has ended because the server does not respond; Share is limit/N
}

// Status returns the state of all shares, in no particular order.
func (s *Shares) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Status, 0, len(s.groups))
	for _, g := range s.groups {
		g.mu.Lock()
		list = append(list, g.status)
		g.mu.Unlock()
	}
	return list
}
