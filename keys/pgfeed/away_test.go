package pgfeed_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// The gate keeps to the same rules however the database is lost: known keys go on, others are neither accepted nor called
// wrong, and when it is back what has changed meanwhile counts, without anybody's help.
func TestDatabaseLostAndBack(t *testing.T) {
	newKey := func(database string) func() { return func() { pgtest.Exec(t, database, insert(2)) } }
	for _, c := range []struct {
		name, mode string
		lose       func(t *testing.T, p *proxy, g *gate, change func())
	}{
		{"refused while nothing happens", "poll", func(_ *testing.T, p *proxy, _ *gate, change func()) { p.refuse(); change() }},
		{"refused while waiting for a notification", "trigger", func(_ *testing.T, p *proxy, _ *gate, change func()) { p.refuse(); change() }},
		{"cut in the middle of a poll", "poll", func(t *testing.T, p *proxy, _ *gate, change func()) {
			cut := p.cutAfter(50)
			change()
			await(t, cut)
		}},
		{"cut in the middle of a notification", "trigger", func(t *testing.T, p *proxy, _ *gate, change func()) {
			cut := p.cutAfter(7)
			change()
			await(t, cut)
		}},
		{"cut in the middle of the reading that a notification brings", "trigger", func(t *testing.T, p *proxy, _ *gate, change func()) {
			cut := p.cutAfter(150)
			change()
			await(t, cut)
		}},
		{"cut in the middle of a snapshot", "poll", func(t *testing.T, p *proxy, g *gate, change func()) {
			p.swallow()
			g.until(unknownKey, keys.FeedAway)
			change()
			p.accept()
			await(t, p.cutAfter(100_000))
		}},
		{"swallowed without a word", "poll", func(_ *testing.T, p *proxy, _ *gate, change func()) { p.swallow(); change() }},
		{"swallowed without a word while waiting for a notification", "trigger", func(_ *testing.T, p *proxy, _ *gate, change func()) {
			p.swallow()
			change()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := docsgpt(t)
			pgtest.Exec(t, database, triggerIn(c.mode)+insert(1)+`INSERT INTO agents (user_id, name, status, key)
				SELECT 'local', 'Agent ' || i, 'published', 'key-' || i FROM generate_series(1, 2000) i`)
			p := newProxy(t)
			o := in(t, c.mode, p.uri(database))
			o.Timeout = time.Second
			f := newFeed(t, o)
			g := run(t, f)
			eventually(t, "a watch", func() bool { return g.loaded() >= 2 })
			if got := g.reason(unknownKey); got != keys.Unknown {
				t.Fatalf("an unknown key while all is well: %s", got)
			}

			c.lose(t, p, g, newKey(database))
			begun := time.Now()
			g.until(unknownKey, keys.FeedAway)
			t.Logf("noticed after %s", time.Since(begun).Round(time.Millisecond))
			if got := g.reason(agentKey(1)); got != keys.Allowed {
				t.Errorf("a known key while the database is away: %s", got)
			}
			away := f.Fresh()
			p.accept()
			back := time.Now()
			g.until(agentKey(2), keys.Allowed, keys.Unknown)
			t.Logf("back after %s", time.Since(back).Round(time.Millisecond))
			g.until(unknownKey, keys.Unknown)
			eventually(t, "a newer confirmation", func() bool { return f.Fresh().After(away) })
			g.mu.Lock()
			defer g.mu.Unlock()
			if all := strings.Join(g.faults, "\n"); all == "" || strings.Contains(all, password) {
				t.Errorf("the faults that were reported are none, or show the password:\n%s", all)
			}
		})
	}
}

// unknownKey is a key that no agent has.
const unknownKey = "nobody-has-this-one"

func triggerIn(mode string) string {
	if mode == "trigger" {
		return pgfeed.TriggerSQL()
	}
	return ""
}

func await(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatal("the connection was never used")
	}
}

// A server that ends connections in its own words is away, too.
func TestConnectionsEndedByTheServer(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	g := run(t, newFeed(t, options(t, pgtest.URI("postgres", database))))
	eventually(t, "a watch", func() bool { return g.loaded() >= 2 })
	pgtest.Exec(t, "postgres", "ALTER DATABASE "+database+" ALLOW_CONNECTIONS false")
	pgtest.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+database+"'")
	g.until(unknownKey, keys.FeedAway)
	if got := g.reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("a known key: %s", got)
	}
	pgtest.Exec(t, "postgres", "ALTER DATABASE "+database+" ALLOW_CONNECTIONS true")
	g.until(unknownKey, keys.Unknown)
}

// A server that is not in the mode that the address asks for is away: somebody is switching them.
func TestServerInAnotherMode(t *testing.T) {
	f := newFeed(t, options(t, pgtest.URI("postgres", docsgpt(t))+"&target_session_attrs=standby"))
	stale := (*keys.Stale)(nil)
	if _, err := f.Load(t.Context()); !errors.As(err, &stale) || !strings.Contains(err.Error(), "target_session_attrs") {
		t.Errorf("Load: %v", err)
	}
}

// Rights that are taken away are an operator's matter, but known keys go on.
func TestRightsLostLater(t *testing.T) {
	database := docsgpt(t)
	role := "reader_" + database
	pgtest.Exec(t, database, insert(1)+"CREATE ROLE "+role+" LOGIN;"+pgfeed.GrantSQL(role))
	g := run(t, newFeed(t, options(t, pgtest.URI(role, database))))
	eventually(t, "a watch", func() bool { return g.loaded() >= 2 })
	pgtest.Exec(t, database, "REVOKE SELECT (status) ON agents FROM "+role)
	g.until(unknownKey, keys.FeedAway)
	if got := g.reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("a known key: %s", got)
	}
	if got := g.syncer.Status()[0].LastError; !strings.Contains(got, "GRANT SELECT (status) ON agents") {
		t.Errorf("the error does not say what to do: %s", got)
	}
	pgtest.Exec(t, database, pgfeed.GrantSQL(role))
	g.until(unknownKey, keys.Unknown)
}

// At a start without the database the snapshot serves, and says from when it is.
func TestStartWithoutTheDatabase(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(*proxy)
	}{
		{"refused", (*proxy).refuse},
		{"swallowed", (*proxy).swallow},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := docsgpt(t)
			pgtest.Exec(t, database, insert(1))
			p := newProxy(t)
			o := options(t, p.uri(database))
			o.SnapshotPath, o.Timeout = filepath.Join(t.TempDir(), "keys.snapshot"), time.Second
			before := newFeed(t, o)
			load(t, before)

			c.lose(p)
			f := newFeed(t, o)
			set, err := f.Load(t.Context())
			stale := (*keys.Stale)(nil)
			if !errors.As(err, &stale) || !stale.At.Equal(before.Fresh()) || len(set) != 1 {
				t.Fatalf("Load: %d keys, %v; want one, kept from %s", len(set), err, before.Fresh())
			}
			g := run(t, newFeed(t, o))
			if got := g.reason(agentKey(1)); got != keys.Allowed {
				t.Errorf("a kept key: %s", got)
			}
			if got := g.reason(unknownKey); got != keys.FeedAway {
				t.Errorf("an unknown key: %s", got)
			}
			pgtest.Exec(t, database, insert(2)+"DELETE FROM agents WHERE id = '"+agentID(1)+"'")
			p.accept()
			g.until(agentKey(2), keys.Allowed, keys.Unknown)
			g.until(agentKey(1), keys.Unknown, keys.FeedAway)
		})
	}
}

// Without a snapshot there are no keys at such a start, but nobody is told that a key is wrong.
func TestStartWithNothing(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	p := newProxy(t)
	p.refuse()
	g := run(t, newFeed(t, options(t, p.uri(database))))
	if got := g.reason(agentKey(1)); got != keys.FeedAway {
		t.Errorf("a key: %s", got)
	}
	p.accept()
	g.until(agentKey(1), keys.Allowed, keys.Unknown)
}

// Patience has an end: then the last keys are forgotten until the database is back.
func TestPatienceEnds(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	p := newProxy(t)
	o := options(t, p.uri(database))
	o.Patience = 500 * time.Millisecond
	g := run(t, newFeed(t, o))
	eventually(t, "a watch", func() bool { return g.loaded() >= 2 })
	g.until(agentKey(1), keys.Allowed)
	p.refuse()
	g.until(agentKey(1), keys.FeedAway, keys.Unknown)
	if g.store.Len() != 0 {
		t.Errorf("%d keys are left", g.store.Len())
	}
	p.accept()
	g.until(agentKey(1), keys.Allowed, keys.Unknown)
}

// Whatever the connection is doing, the end of the context ends everything, and nothing is left behind.
func TestContextEndsEverything(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, pgfeed.TriggerSQL()+insert(1))
	polled := docsgpt(t)
	for _, c := range []struct {
		name, database string
		ready          func(t *testing.T, p *proxy, changed <-chan struct{})
	}{
		{"waiting for a notification", database, func(t *testing.T, _ *proxy, changed <-chan struct{}) { await(t, changed) }},
		{"polling", polled, func(t *testing.T, _ *proxy, changed <-chan struct{}) { await(t, changed) }},
		{"in a poll that is not answered", polled, func(t *testing.T, p *proxy, changed <-chan struct{}) {
			await(t, changed)
			p.swallow()
			await(t, p.fell)
		}},
		{"while a load connects to nobody", polled, func(t *testing.T, p *proxy, changed <-chan struct{}) {
			await(t, changed)
			p.swallow()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := newFeed(t, in(t, "trigger", p.uri(polled))).Load(ctx)
				ended <- err
			}()
			await(t, p.fell)
			cancel()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Load: %v", err)
				}
			case <-time.After(patience):
				t.Error("Load has not ended")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProxy(t)
			o := in(t, "trigger", p.uri(c.database))
			o.Poll = 10 * time.Millisecond
			f := newFeed(t, o)
			ignore := goleak.IgnoreCurrent()
			ctx, cancel := context.WithCancel(t.Context())
			changed, ended := make(chan struct{}, 100), make(chan error, 1)
			go func() {
				ended <- f.Watch(ctx, func() {
					select {
					case changed <- struct{}{}:
					default:
					}
				})
			}()
			c.ready(t, p, changed)
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("Watch: %v, want nil", err)
				}
			case <-time.After(patience):
				t.Fatal("Watch has not ended")
			}
			if _, err := f.Load(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Load: %v", err)
			}
			p.refuse()
			p.fill()
			p.wg.Wait()
			goleak.VerifyNone(t, ignore)
		})
	}
}

// The snapshot follows changes without a load.
func TestSnapshotFollows(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	p := newProxy(t)
	o := options(t, p.uri(database))
	o.SnapshotPath = filepath.Join(t.TempDir(), "keys.snapshot")
	g := run(t, newFeed(t, o))
	pgtest.Exec(t, database, insert(2)+"DELETE FROM agents WHERE id = '"+agentID(1)+"'")
	g.until(agentKey(2), keys.Allowed)
	p.refuse()
	eventually(t, "a snapshot with the change", func() bool {
		set, err := newFeed(t, o).Load(t.Context())
		if stale := (*keys.Stale)(nil); !errors.As(err, &stale) {
			t.Fatalf("Load: %v", err)
		}
		return len(set) == 1 && set[0].ID == "agent_"+agentID(2)
	})
}
