package shares

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/internal/redistest"
)

// fakeConn is a connection to a server that can be cut.
type fakeConn struct {
	client redis.UniversalClient
	mu     sync.Mutex // guards cut and lost
	cut    bool
	lost   bool // scripts run, but their results are lost
	nodes  int
}

var errCut = errors.New("the connection is cut")

func (c *fakeConn) Run(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	c.mu.Lock()
	cut, lost := c.cut, c.lost
	c.mu.Unlock()
	if cut {
		return nil, errCut
	}
	result, err := script.Run(ctx, c.client, keys, args...).Result()
	if lost {
		return nil, errCut
	}
	return result, err
}

func (*fakeConn) Key(tag, name string) string { return "docsgate:{" + tag + "}:" + name }

func (c *fakeConn) Nodes() int { return max(c.nodes, 1) }

func (c *fakeConn) set(cut, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.lost = cut, lost
}

// newClusterClient returns a client of a Redis Cluster.
func newClusterClient(t *testing.T, addr string) redis.UniversalClient {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// node is a gate whose exchanges are made by the test.
type node struct {
	t       testing.TB
	limiter *inflight.Limiter
	conn    *fakeConn
	group   *group
	limits  inflight.Limits

	mu      sync.Mutex // guards held and waiting
	held    []*inflight.Slot
	waiting int
}

// longLeases is for tests in which no lease ends.
var longLeases = times{lease: time.Hour, serverLease: 2 * time.Hour, start: time.Hour}

func newNode(t testing.TB, client redis.UniversalClient, limits inflight.Limits, times times) *node {
	n := &node{t: t, limiter: new(inflight.Limiter), conn: &fakeConn{client: client}, limits: limits}
	s := New(n.limiter)
	s.times = times
	n.group = s.newGroup("u", "c")
	n.group.register(&registration{n.conn, limits})
	n.group.publish()
	return n
}

func newNodes(t *testing.T, client redis.UniversalClient, count int, limits inflight.Limits) []*node {
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = newNode(t, client, limits, longLeases)
	}
	return nodes
}

func (n *node) exchange() {
	n.t.Helper()
	if err := n.tryExchange(); err != nil && !errors.Is(err, errCut) {
		n.t.Fatal(err)
	}
}

func (n *node) tryExchange() error {
	err := n.group.exchange(n.t.Context(), n.conn, n.limits)
	n.group.publish()
	return err
}

// try acquires a slot without waiting.
func (n *node) try(key string, cost int) inflight.Decision {
	slot := new(inflight.Slot)
	d := n.limiter.Acquire(n.t.Context(), slot, inflight.Request{Upstream: "u", Class: "c", Key: key, Cost: cost}, n.limits, 0)
	if d == inflight.Acquired {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.held = append(n.held, slot)
	}
	return d
}

// wait lets a request wait, and returns when it is in the queue or in flight.
func (n *node) wait(key string, cost int) {
	n.mu.Lock()
	n.waiting++
	n.mu.Unlock()
	before := n.count()
	go func() {
		slot := new(inflight.Slot)
		d := n.limiter.Acquire(n.t.Context(), slot, inflight.Request{Upstream: "u", Class: "c", Key: key, Cost: cost}, n.limits, time.Hour)
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.waiting--; d == inflight.Acquired {
			n.held = append(n.held, slot)
		}
	}()
	for n.count() == before {
		time.Sleep(10 * time.Microsecond)
	}
}

func (n *node) count() inflight.Count {
	for _, c := range n.limiter.Counts() {
		return c
	}
	return inflight.Count{}
}

// settled reports whether the goroutines of all requests in flight have stored their slots.
func (n *node) settled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.held) == n.count().InFlight
}

// release releases a random slot. It reports whether there was one.
func (n *node) release(random *rand.Rand) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.held) == 0 {
		return false
	}
	i := random.IntN(len(n.held))
	slot := n.held[i]
	n.held[i] = n.held[len(n.held)-1]
	n.held = n.held[:len(n.held)-1]
	slot.Release()
	return true
}

// checkSums checks that the shares together are not above the limit, and the requests of each key not above its limit and one for each
// other node.
func checkSums(t *testing.T, nodes []*node, limits inflight.Limits) {
	t.Helper()
	total, keys := 0, map[inflight.KeyID]int{}
	for _, n := range nodes {
		total += max(n.group.share, n.count().InFlight)
		for key, d := range n.limiter.Demand("u", "c", limits.PerKey).Keys {
			keys[key] += d.InFlight
		}
	}
	if total > limits.Total {
		t.Fatalf("shares of %d, the limit is %d: %s", total, limits.Total, describe(nodes))
	}
	for key, n := range keys {
		if n > limits.PerKey+len(nodes)-1 {
			t.Fatalf("%d of %s in flight, the limit is %d", n, key.Key, limits.PerKey)
		}
	}
}

func describe(nodes []*node) (text string) {
	for i, n := range nodes {
		c := n.count()
		text += fmt.Sprintf("\nnode %d: share %d, %d in flight, %d waiting", i, n.group.share, c.InFlight, c.Waiting)
		for key, held := range n.group.keys {
			text += fmt.Sprintf(", %s %d", key.Key, held.share)
		}
	}
	return text
}

// With random demand, lost results and cut connections, the sum of all shares is never above the limit, no slot remains unused while a
// request waits for it, and all requests get slots.
func TestRandomDemand(t *testing.T) {
	client := redistest.Start(t).Client()
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			client.FlushAll(t.Context())
			limits := inflight.Limits{Total: 1 + random.IntN(20), Waiting: 10_000, WaitingPerKey: 10_000}
			limits.PerKey = 1 + random.IntN(limits.Total)
			nodes := newNodes(t, client, 1+random.IntN(5), limits)
			busy := random.IntN(len(nodes)) // has most of the demand
			for range 150 {
				n := nodes[random.IntN(len(nodes))]
				if random.IntN(3) == 0 {
					n = nodes[busy]
				}
				key, cost := fmt.Sprint(random.IntN(4)), 1
				if random.IntN(8) == 0 {
					cost = 1 + random.IntN(5)
				}
				switch random.IntN(10) {
				case 0, 1, 2:
					n.wait(key, cost)
				case 3:
					n.try(key, cost)
				case 4, 5:
					n.release(random)
				case 6:
					n.conn.set(random.IntN(4) == 0, random.IntN(4) == 0)
				default:
					n.exchange()
				}
				checkSums(t, nodes, limits)
			}
			for _, n := range nodes {
				n.conn.set(false, false)
			}
			for idle := 0; ; {
				waiting := 0
				for range 3 {
					for _, n := range nodes {
						n.exchange()
						checkSums(t, nodes, limits)
					}
				}
				for _, n := range nodes {
					waiting += n.count().Waiting
				}
				if waiting == 0 {
					break
				}
				idle++
				for _, n := range nodes {
					for n.release(random) {
						idle = 0
					}
				}
				time.Sleep(time.Duration(idle) * time.Millisecond) // for the goroutines of the requests that have slots now
				if idle > 100 {
					t.Fatalf("%d requests wait without progress: %+v%s", waiting, limits, describe(nodes))
				}
			}
			for _, n := range nodes {
				for n.release(random) {
				}
			}
		})
	}
}
