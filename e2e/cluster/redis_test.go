package cluster

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
)

// sharedLimit is the number of requests that all gates together allow with one key. It is replenished by one every two minutes.
const sharedLimit = 30

// redisTimeout is a timeout that a busy machine keeps.
const redisTimeout = 2 * time.Second

// redisOutage is a fault of Redis, as some of the gates experience it.
type redisOutage struct {
	begin, end func(c *cluster, server *redistest.Server)
	least      int  // requests that a new key gets meanwhile
	most       int  // the same
	shared     bool // limits remain shared
}

// TestRedisOutages is the contract of the limits while Redis fails: they are neither unlimited nor closed, and are shared again afterwards without
// a restart. Keys do not depend on Redis.
func TestRedisOutages(t *testing.T) {
	proxies := func(nodes int, f func(*feedtest.Proxy)) func(*cluster, *redistest.Server) {
		return func(c *cluster, _ *redistest.Server) {
			for _, n := range c.nodes[:nodes] {
				f(n.redis)
			}
		}
	}
	for name, o := range map[string]redisOutage{
		"restarted": {
			begin: func(_ *cluster, s *redistest.Server) { s.Stop() }, end: func(_ *cluster, s *redistest.Server) { s.Restart() },
			least: sharedLimit, most: sharedLimit,
		},
		"refused":      {begin: proxies(3, (*feedtest.Proxy).Refuse), end: proxies(3, (*feedtest.Proxy).Accept), least: sharedLimit, most: sharedLimit},
		"unresponsive": {begin: proxies(3, (*feedtest.Proxy).Blackhole), end: proxies(3, (*feedtest.Proxy).Accept), least: sharedLimit, most: sharedLimit},
		"slow": {
			begin: proxies(3, func(p *feedtest.Proxy) { p.Slow(2*redisTimeout, 0) }), end: proxies(3, func(p *feedtest.Proxy) { p.Slow(0, 0) }),
			least: sharedLimit, most: sharedLimit,
		},
		// The others do not know whether this gate is out of service, and allow the whole limit.
		"refused for one": {
			begin: proxies(1, (*feedtest.Proxy).Refuse), end: proxies(1, (*feedtest.Proxy).Accept),
			least: sharedLimit, most: sharedLimit + sharedLimit/3,
		},
		"flushed": {
			begin: func(c *cluster, s *redistest.Server) {
				if err := s.Client().FlushAll(c.t.Context()).Err(); err != nil {
					c.t.Fatal(err)
				}
			},
			end: func(*cluster, *redistest.Server) {}, least: sharedLimit, most: sharedLimit, shared: true,
		},
	} {
		t.Run(name, func(t *testing.T) { testRedisOutage(t, o) })
	}
}

func testRedisOutage(t *testing.T, o redisOutage) {
	server := redistest.Start(t)
	c := startShared(t, 3, sharedServer(t), server, redisTimeout)
	before, meanwhile := c.nodes[0].createLimited("before", sharedLimit), c.nodes[0].createLimited("meanwhile", sharedLimit)
	unlimited, revoked := c.nodes[0].create("without limits"), c.nodes[0].create("revoked meanwhile")
	for _, k := range []key{before, meanwhile, unlimited, revoked} {
		c.everywhereKnown(k)
	}
	c.awaitShared()
	if n := c.allowed(before.Token, 2*sharedLimit); n != sharedLimit {
		t.Errorf("%d requests are allowed, want %d", n, sharedLimit)
	}
	var streams []*stream
	for _, n := range c.nodes {
		streams = append(streams, n.startStream(unlimited.Token))
	}

	o.begin(c, server)
	if !o.shared {
		c.nodes[0].expect(unlimited.Token, valid)
	}
	if n := c.allowed(meanwhile.Token, 4*sharedLimit); n < o.least || n > o.most {
		t.Errorf("%d requests are allowed meanwhile, want %d to %d", n, o.least, o.most)
	}
	for i, n := range c.nodes {
		n.expect(unlimited.Token, valid)
		n.expect(unknownToken, invalid)
		streams[i].expectProgress()
	}
	c.nodes[1].change(revoked, "revoke")
	c.everywhere(revoked.Token, invalid)

	o.end(c, server)
	c.awaitShared()
	after := c.nodes[0].createLimited("after", sharedLimit)
	c.everywhereKnown(after)
	if n := c.allowed(after.Token, 2*sharedLimit); n != sharedLimit {
		t.Errorf("%d requests are allowed afterwards, want %d", n, sharedLimit)
	}
	for _, s := range streams {
		s.expectProgress()
	}
}

// startShared is like start, for gates that also share their limits. timeout is that of their decisions.
func startShared(t *testing.T, count int, d database, server *redistest.Server, timeout time.Duration) *cluster {
	return startWith(t, count, d, func(n *node) {
		n.redis = feedtest.NewProxy(t, server.Addr())
		n.options = fmt.Sprintf("shared_limits redis://%s {\n\t\t\ttimeout %s\n\t\t}", n.redis.Addr(), timeout)
	})
}

// everywhereKnown waits until every node lists a key, without using it.
func (c *cluster) everywhereKnown(of key) {
	c.t.Helper()
	for _, n := range c.nodes {
		waitFor(c.t, n.name+" knows the key", func() bool {
			var page struct {
				Keys []struct {
					ID string `json:"id"`
				} `json:"keys"`
			}
			if err := n.call(c.t.Context(), http.MethodGet, "keys?limit=100", "", &page); err != nil {
				return false
			}
			for _, k := range page.Keys {
				if k.ID == of.ID {
					return true
				}
			}
			return false
		})
	}
}

// allowed sends requests to all nodes in turn, and returns how many are not rejected by a limit.
func (c *cluster) allowed(token string, requests int) (n int) {
	c.t.Helper()
	for i := range requests {
		switch got, text := c.nodes[i%len(c.nodes)].ask(token); {
		case got == valid:
			n++
		case got != limited:
			c.t.Fatalf("a request is neither answered nor limited: %s", text)
		}
	}
	return n
}

// awaitShared waits until all nodes share their limits, and know how many they are.
func (c *cluster) awaitShared() {
	c.t.Helper()
	for _, n := range c.nodes {
		waitFor(c.t, n.name+" shares its limits", func() bool {
			resp, err := n.client.Get("http://" + n.admin + "/metrics")
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			return err == nil && strings.Contains(string(body), "\ncaddy_docsgate_shared_limits_up 1\n") &&
				strings.Contains(string(body), fmt.Sprintf("\ncaddy_docsgate_shared_limits_gates %d\n", len(c.nodes)))
		})
	}
}
