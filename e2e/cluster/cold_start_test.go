package cluster

import (
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
)

// Gates that are killed and started while the database is unavailable know the keys that they knew before.
func TestColdStart(t *testing.T) {
	server, d := ownServer(t)
	c := start(t, 3, d)
	known, revoked := c.nodes[0].create("known"), c.nodes[1].create("revoked before")
	c.everywhere(known.Token, valid)
	c.everywhere(revoked.Token, valid)
	c.nodes[2].change(revoked, "revoke")
	c.everywhere(revoked.Token, invalid)

	for _, n := range c.nodes[:2] {
		n.kill()
	}
	server.Crash()
	c.nodes[2].kill()
	for _, n := range c.nodes {
		n.start()
		n.awaitVerdict(known.Token, valid)
		n.expect(revoked.Token, invalid)
		n.expect(unknownToken, unavailable)
	}
	expectWrites(c.nodes, unreachable)

	server.Start()
	c.everywhere(unknownToken, invalid)
	created := c.nodes[1].create("created afterwards")
	c.everywhere(created.Token, valid)
	c.nodes[0].change(known, "revoke")
	c.everywhere(known.Token, invalid)
	c.everywhere(revoked.Token, invalid)
}

// A gate that has never reached the database, as on an empty volume, cannot decide on any token until it does.
func TestFirstStart(t *testing.T) {
	c := start(t, 2, sharedServer(t))
	known := c.nodes[0].create("known")
	c.everywhere(known.Token, valid)
	n := newNode(c, 2)
	n.proxies = []*feedtest.Proxy{feedtest.NewProxy(t, c.database.hosts[0])}
	n.store = c.database.uri(n.proxies)
	n.configure()
	n.proxies[0].Refuse()
	n.start()
	n.expect(known.Token, unavailable)
	n.expect(unknownToken, unavailable)
	n.proxies[0].Accept()
	n.awaitVerdict(known.Token, valid)
	n.expect(unknownToken, invalid)
}

// A gate that cannot reach the database, and is killed and started there, does not forget what it knew, and learns the rest when it is
// connected again.
func TestColdStartOfOne(t *testing.T) {
	c := start(t, 3, sharedServer(t))
	n, other := c.nodes[0], c.nodes[1]
	known, before, meanwhile := other.create("known"), other.create("revoked before"), other.create("revoked meanwhile")
	for _, k := range []key{known, before, meanwhile} {
		c.everywhere(k.Token, valid)
	}
	other.change(before, "revoke")
	c.everywhere(before.Token, invalid)
	each(c.nodes[:1], (*feedtest.Proxy).Refuse)
	other.change(meanwhile, "revoke")
	created := other.create("created meanwhile")
	for range 2 {
		n.kill()
		n.start()
		n.awaitVerdict(known.Token, valid)
		n.expect(before.Token, invalid)
		n.expect(meanwhile.Token, valid) // as docs/cluster.md says, for max_stale at most
		n.expect(created.Token, unavailable)
	}
	each(c.nodes[:1], (*feedtest.Proxy).Accept)
	n.awaitVerdict(meanwhile.Token, invalid)
	n.awaitVerdict(created.Token, valid)
	n.expect(before.Token, invalid)
}
