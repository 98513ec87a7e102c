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

// The same rules apply to each kind of outage: known keys remain valid, other tokens are neither accepted nor rejected as unknown,
// and after the outage the changes are loaded automatically.
func TestOutage(t *testing.T) {
	for _, c := range []struct {
		name, mode string
		lose       func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func())
	}{
		{"refused while idle", "poll", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Refuse(); change() }},
		{"refused while waiting for a notification", "trigger", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Refuse(); change() }},
		{"cut during a poll", "poll", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(50)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut during a notification", "trigger", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(7)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut during the read after a notification", "trigger", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(150)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut during a full read", "poll", func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func()) {
			p.Blackhole()
			g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
			change()
			p.Accept()
			feedtest.Await(t, p.CutAfter(100_000))
		}},
		{"blackholed", "poll", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Blackhole(); change() }},
		{"blackholed while waiting for a notification", "trigger", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
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
				t.Errorf("no error was reported, or an error contains the password:\n%s", all)
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

// A server that closes connections with an error is unavailable, too.
func TestConnectionsClosedByServer(t *testing.T) {
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

// A server that is not in the mode that the address requires is unavailable: possibly a failover is in progress.
func TestTargetSessionAttrs(t *testing.T) {
	f := newFeed(t, options(t, pgtest.URI("postgres", docsgpt(t))+"&target_session_attrs=standby"))
	stale := (*keys.StaleError)(nil)
	if _, err := f.Load(t.Context()); !errors.As(err, &stale) || !strings.Contains(err.Error(), "target_session_attrs") {
		t.Errorf("Load: %v", err)
	}
}

// If permissions are revoked, an operator has to fix that, but known keys remain valid.
func TestPermissionsRevoked(t *testing.T) {
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
		t.Errorf("the error does not say how to fix it: %s", got)
	}
	pgtest.Exec(t, database, pgfeed.GrantSQL(role))
	g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
}

func TestColdStartSnapshot(t *testing.T) {
	feedtest.TestColdStartSnapshot(t, func(t *testing.T) feedtest.Database { return newDatabase(t) })
}

func TestColdStartNoSnapshot(t *testing.T) { feedtest.TestColdStartNoSnapshot(t, newDatabase(t)) }

func TestMaxStale(t *testing.T) { feedtest.TestMaxStale(t, newDatabase(t)) }

func TestSnapshotUpdated(t *testing.T) { feedtest.TestSnapshotUpdated(t, newDatabase(t)) }

// In each state of the connection, Watch and Load return when the context is canceled, and no goroutine is leaked.
func TestContextCanceled(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, pgfeed.TriggerSQL()+insert(1))
	polled := docsgpt(t)
	for _, c := range []struct {
		name, database string
		ready          func(t *testing.T, p *feedtest.Proxy, changed <-chan struct{})
	}{
		{"waiting for a notification", database, func(t *testing.T, _ *feedtest.Proxy, changed <-chan struct{}) { feedtest.Await(t, changed) }},
		{"polling", polled, func(t *testing.T, _ *feedtest.Proxy, changed <-chan struct{}) { feedtest.Await(t, changed) }},
		{"during a poll without response", polled, func(t *testing.T, p *feedtest.Proxy, changed <-chan struct{}) {
			feedtest.Await(t, changed)
			p.Blackhole()
			feedtest.Await(t, p.Blackholed())
		}},
		{"while a load connects to an unreachable server", polled, func(t *testing.T, p *feedtest.Proxy, changed <-chan struct{}) {
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
