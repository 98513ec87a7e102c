package pgfeed_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// The gate keeps to the same rules however the database is lost: known keys go on, others are neither accepted nor called
// wrong, and when it is back what has changed meanwhile counts, without anybody's help.
func TestDatabaseLostAndBack(t *testing.T) {
	for _, c := range []struct {
		name, mode string
		lose       func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func())
	}{
		{"refused while nothing happens", "poll", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Refuse(); change() }},
		{"refused while waiting for a notification", "trigger", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Refuse(); change() }},
		{"cut in the middle of a poll", "poll", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(50)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut in the middle of a notification", "trigger", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(7)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut in the middle of the reading that a notification brings", "trigger", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(150)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut in the middle of a snapshot", "poll", func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func()) {
			p.Blackhole()
			g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
			change()
			p.Accept()
			feedtest.Await(t, p.CutAfter(100_000))
		}},
		{"swallowed without a word", "poll", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Blackhole(); change() }},
		{"swallowed without a word while waiting for a notification", "trigger", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			p.Blackhole()
			change()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			pgtest.Exec(t, d.name, triggerIn(c.mode)+insert(1)+`INSERT INTO agents (user_id, name, status, key)
				SELECT 'local', 'Agent ' || i, 'published', 'key-' || i FROM generate_series(1, 2000) i`)
			p := feedtest.NewProxy(t, pgtest.Host())
			o := in(t, c.mode, through(p, d.name))
			o.Timeout = 3 * time.Second
			g := feedtest.TestOutage(t, d, p, newFeed(t, o), func(g *feedtest.Harness, change func()) { c.lose(t, p, g, change) })
			if all := strings.Join(g.Errors(), "\n"); all == "" || strings.Contains(all, password) {
				t.Errorf("the faults that were reported are none, or show the password:\n%s", all)
			}
		})
	}
}

func triggerIn(mode string) string {
	if mode == "trigger" {
		return pgfeed.TriggerSQL()
	}
	return ""
}

// A server that ends connections in its own words is away, too.
func TestConnectionsEndedByTheServer(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	g := feedtest.Run(t, newFeed(t, options(t, pgtest.URI("postgres", database))))
	g.WaitWatched()
	pgtest.Exec(t, "postgres", "ALTER DATABASE "+database+" ALLOW_CONNECTIONS false")
	pgtest.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+database+"'")
	g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("a known key: %s", got)
	}
	pgtest.Exec(t, "postgres", "ALTER DATABASE "+database+" ALLOW_CONNECTIONS true")
	g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
}

// A server that is not in the mode that the address asks for is away: somebody is switching them.
func TestServerInAnotherMode(t *testing.T) {
	f := newFeed(t, options(t, pgtest.URI("postgres", docsgpt(t))+"&target_session_attrs=standby"))
	stale := (*keys.StaleError)(nil)
	if _, err := f.Load(t.Context()); !errors.As(err, &stale) || !strings.Contains(err.Error(), "target_session_attrs") {
		t.Errorf("Load: %v", err)
	}
}

// Rights that are taken away are an operator's matter, but known keys go on.
func TestRightsLostLater(t *testing.T) {
	database := docsgpt(t)
	role := "reader_" + database
	pgtest.Exec(t, database, insert(1)+"CREATE ROLE "+role+" LOGIN;"+pgfeed.GrantSQL(role))
	g := feedtest.Run(t, newFeed(t, options(t, pgtest.URI(role, database))))
	g.WaitWatched()
	pgtest.Exec(t, database, "REVOKE SELECT (status) ON agents FROM "+role)
	g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("a known key: %s", got)
	}
	if got := g.Syncer.Status()[0].LastError; !strings.Contains(got, "GRANT SELECT (status) ON agents") {
		t.Errorf("the error does not say what to do: %s", got)
	}
	pgtest.Exec(t, database, pgfeed.GrantSQL(role))
	g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
}

func TestStartWithoutTheDatabase(t *testing.T) {
	feedtest.TestColdStartSnapshot(t, func(t *testing.T) feedtest.Database { return newDatabase(t) })
}

func TestStartWithNothing(t *testing.T) { feedtest.TestColdStartNoSnapshot(t, newDatabase(t)) }

func TestPatienceEnds(t *testing.T) { feedtest.TestMaxStale(t, newDatabase(t)) }

func TestSnapshotFollows(t *testing.T) { feedtest.TestSnapshotUpdated(t, newDatabase(t)) }

// Whatever the connection is doing, the end of the context ends everything, and nothing is left behind.
func TestContextEndsEverything(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, pgfeed.TriggerSQL()+insert(1))
	polled := docsgpt(t)
	for _, c := range []struct {
		name, database string
		ready          func(t *testing.T, p *feedtest.Proxy, changed <-chan struct{})
	}{
		{"waiting for a notification", database, func(t *testing.T, _ *feedtest.Proxy, changed <-chan struct{}) { feedtest.Await(t, changed) }},
		{"polling", polled, func(t *testing.T, _ *feedtest.Proxy, changed <-chan struct{}) { feedtest.Await(t, changed) }},
		{"in a poll that is not answered", polled, func(t *testing.T, p *feedtest.Proxy, changed <-chan struct{}) {
			feedtest.Await(t, changed)
			p.Blackhole()
			feedtest.Await(t, p.Blackholed())
		}},
		{"while a load connects to nobody", polled, func(t *testing.T, p *feedtest.Proxy, changed <-chan struct{}) {
			feedtest.Await(t, changed)
			feedtest.TestLoadCanceled(t, p, newFeed(t, in(t, "trigger", through(p, polled))))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := feedtest.NewProxy(t, pgtest.Host())
			o := in(t, "trigger", through(p, c.database))
			o.PollInterval = 10 * time.Millisecond
			feedtest.TestContextCanceled(t, p, newFeed(t, o), func(changed <-chan struct{}) { c.ready(t, p, changed) }, nil)
		})
	}
}
