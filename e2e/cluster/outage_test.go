package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
)

// outage is a fault of the database, as some of the gates experience it.
type outage struct {
	database func(t *testing.T) database
	begin    func(c *cluster)
	end      func(c *cluster)
	affected int     // the first gates; the others reach the database
	unknown  verdict // of the affected gates on a token that they do not know; the others reject it
	writes   string  // matches what the log says about changes meanwhile; empty: changes are possible
}

// unreachable matches the errors of a database that does not accept connections.
const unreachable = "key store's database (was lost|refuses connections|is starting)|no server of the address"

// TestOutages is the contract of a gate while its database fails: known keys are answered, a token that may be new is not rejected, streams
// continue, a revocation is never undone, and everything works afterwards without a restart.
func TestOutages(t *testing.T) {
	for name, newOutage := range map[string]func(t *testing.T) outage{
		"restarted":            restarted,
		"slow":                 slow,
		"refused for one":      refusedForOne,
		"unresponsive for one": unresponsiveForOne,
		"read-only":            readOnly,
		"disk full":            diskFull,
		"failover":             failover,
	} {
		t.Run(name, func(t *testing.T) { testOutage(t, newOutage(t)) })
	}
}

func testOutage(t *testing.T, o outage) {
	c := start(t, 3, o.database(t))
	cut, others := c.nodes[:o.affected], c.nodes[o.affected:]
	known, elsewhere, later := c.nodes[0].create("known"), c.nodes[1].create("revoked elsewhere"), c.nodes[2].create("revoked before")
	for _, k := range []key{known, elsewhere, later} {
		c.everywhere(k.Token, valid)
	}
	c.nodes[0].change(later, "revoke")
	c.everywhere(later.Token, invalid)
	var streams []*stream
	for _, n := range c.nodes {
		streams = append(streams, n.startStream(known.Token))
	}

	o.begin(c)
	if len(others) > 0 {
		others[0].change(elsewhere, "revoke")
		for _, n := range others {
			n.awaitVerdict(elsewhere.Token, invalid)
		}
	}
	for _, n := range cut {
		n.awaitVerdict(unknownToken, o.unknown)
	}
	for round := range 3 {
		for _, n := range c.nodes {
			n.expect(known.Token, valid)
			n.expect(later.Token, invalid)
		}
		for _, n := range cut {
			n.expect(unknownToken, o.unknown)
		}
		for _, n := range others {
			n.expect(unknownToken, invalid)
		}
		for _, s := range streams {
			s.expectProgress()
		}
		if round == 0 {
			expectWrites(cut, o.writes)
		}
	}
	if len(others) > 0 {
		created := others[0].create("created during the outage")
		for _, n := range others {
			n.awaitVerdict(created.Token, valid)
		}
		for _, n := range cut {
			n.expect(created.Token, o.unknown)
		}
	}

	o.end(c)
	if len(others) > 0 {
		c.everywhere(elsewhere.Token, invalid)
	}
	for i, n := range c.nodes {
		var made key
		waitFor(t, n.name+" can create keys", func() (created bool) {
			var err error
			made, err = n.tryCreate(t.Context(), "created afterwards")
			return err == nil
		})
		c.everywhere(made.Token, valid)
		n.change(made, "revoke")
		c.everywhere(made.Token, invalid)
		c.nodes[i].expect(known.Token, valid)
	}
	c.everywhere(later.Token, invalid)
	c.everywhere(unknownToken, invalid)
	for _, s := range streams {
		s.expectProgress()
	}
	c.nodes[2].change(known, "revoke")
	c.everywhere(known.Token, invalid)
	for _, s := range streams {
		s.expectEnd()
	}
}

// expectWrites checks that changes at gates fail, and that the log says why, or that they are possible.
func expectWrites(nodes []*node, want string) {
	for _, n := range nodes {
		ctx, cancel := context.WithTimeout(n.c.t.Context(), 2*patience) // writes wait for each other for 30 seconds
		_, err := n.tryCreate(ctx, "created during the outage")
		cancel()
		response := (*apiError)(nil)
		switch {
		case want == "" && err != nil:
			n.c.t.Errorf("%s: a change failed: %v", n.name, err)
		case want == "":
		case !errors.As(err, &response) || response.status != http.StatusServiceUnavailable:
			n.c.t.Errorf("%s: a change during the outage: %v, want status 503", n.name, err)
		default:
			waitFor(n.c.t, "the log of "+n.name+" contains "+want, func() bool { return regexp.MustCompile(want).MatchString(n.log.String()) })
		}
	}
}

func restarted(t *testing.T) outage {
	server, d := ownServer(t)
	return outage{
		database: func(*testing.T) database { return d }, affected: 3, unknown: unavailable, writes: unreachable,
		begin: func(*cluster) { server.Crash() },
		end:   func(*cluster) { server.Start() },
	}
}

func slow(*testing.T) outage {
	return outage{
		database: sharedServer, affected: 3, unknown: invalid,
		begin: func(c *cluster) { each(c.nodes, func(p *feedtest.Proxy) { p.Slow(100*time.Millisecond, 100_000) }) },
		end:   func(c *cluster) { each(c.nodes, func(p *feedtest.Proxy) { p.Slow(0, 0) }) },
	}
}

func refusedForOne(*testing.T) outage {
	return outage{
		database: sharedServer, affected: 1, unknown: unavailable, writes: unreachable,
		begin: func(c *cluster) { each(c.nodes[:1], (*feedtest.Proxy).Refuse) },
		end:   func(c *cluster) { each(c.nodes[:1], (*feedtest.Proxy).Accept) },
	}
}

func unresponsiveForOne(*testing.T) outage {
	return outage{
		database: sharedServer, affected: 1, unknown: unavailable, writes: "key store's database (did not respond|was lost)",
		begin: func(c *cluster) { each(c.nodes[:1], (*feedtest.Proxy).Blackhole) },
		end:   func(c *cluster) { each(c.nodes[:1], (*feedtest.Proxy).Accept) },
	}
}

// readOnly is also what a gate sees that is connected to a standby server. Since the setting applies to new connections only, the gates lose
// theirs before.
func readOnly(t *testing.T) outage {
	server, d := ownServer(t)
	set := func(c *cluster, value string) {
		each(c.nodes, (*feedtest.Proxy).Refuse)
		c.everywhere(unknownToken, unavailable)
		server.Exec("ALTER DATABASE docsgate SET default_transaction_read_only = " + value)
		each(c.nodes, (*feedtest.Proxy).Accept)
	}
	return outage{
		database: func(*testing.T) database { return d }, affected: 3, unknown: invalid, writes: "read-only",
		begin: func(c *cluster) { set(c, "on") },
		end:   func(c *cluster) { set(c, "off") },
	}
}

func failover(t *testing.T) outage {
	primary, d := ownServer(t)
	standby := primary.NewStandby()
	d.hosts = append(d.hosts, standby.Host())
	d.query += "&target_session_attrs=read-write"
	return outage{
		database: func(*testing.T) database { return d }, affected: 3, unknown: unavailable, writes: unreachable,
		begin: func(*cluster) { primary.Crash() },
		end:   func(*cluster) { standby.Promote() },
	}
}

// diskFull fills the file system with the tables. That of the write-ahead log has space: without it, PostgreSQL stops.
func diskFull(t *testing.T) outage {
	server, d := ownServer(t)
	disk := smallDisk(t)
	server.Exec(fmt.Sprintf("CREATE TABLESPACE small LOCATION '%s'", disk.path))
	server.Exec("DROP DATABASE docsgate")
	server.Exec("CREATE DATABASE docsgate TABLESPACE small")
	return outage{
		database: func(*testing.T) database { return d }, affected: 3, unknown: invalid, writes: "the disk of the key store's database is full",
		begin: func(c *cluster) {
			disk.fill()
			waitFor(t, "the disk is full", func() bool {
				_, err := c.nodes[0].tryCreate(t.Context(), "fills the last page")
				return err != nil
			})
		},
		end: func(*cluster) { disk.free() },
	}
}
