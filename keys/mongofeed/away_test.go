package mongofeed_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/dns"
	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

// The gate keeps to the same rules however the database is lost: known keys go on, others are neither accepted nor called
// wrong, and when it is back what has changed meanwhile counts, without anybody's help.
func TestDatabaseLostAndBack(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(t *testing.T, p *proxy, g *gate, change func())
	}{
		{"refused while nothing happens", func(_ *testing.T, p *proxy, _ *gate, change func()) { p.refuse(); change() }},
		{"cut in the middle of a poll", func(t *testing.T, p *proxy, _ *gate, change func()) {
			cut := p.cutAfter(30_000)
			change()
			await(t, cut)
		}},
		{"cut in the middle of a snapshot", func(t *testing.T, p *proxy, g *gate, change func()) {
			p.swallow()
			g.until(unknownKey, keys.FeedAway)
			change()
			p.accept()
			await(t, p.cutAfter(60_000))
		}},
		{"swallowed without a word", func(_ *testing.T, p *proxy, _ *gate, change func()) { p.swallow(); change() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			mongotest.Insert(t, database, mongofeed.Agents, agent(1))
			fill(t, database, 400)
			p := newProxy(t)
			o := options(t, p.uri(database))
			o.Poll, o.Timeout = 0, time.Second
			f := newFeed(t, o)
			g := run(t, f)
			eventually(t, "a watch", func() bool { return g.loaded() >= 2 })
			if got := g.reason(unknownKey); got != keys.Unknown {
				t.Fatalf("an unknown key while all is well: %s", got)
			}

			c.lose(t, p, g, func() { mongotest.Insert(t, database, mongofeed.Agents, agent(2)) })
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
			if len(g.faults) == 0 {
				t.Error("no fault was reported")
			}
			for _, fault := range g.faults {
				if strings.Contains(fault, "not what the gate expects") {
					t.Errorf("a fault that says nothing: %s", fault)
				}
			}
		})
	}
}

func await(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatal("the connection was never used")
	}
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
			database := mongotest.Database(t)
			mongotest.Insert(t, database, mongofeed.Agents, agent(1))
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
			mongotest.Insert(t, database, mongofeed.Agents, agent(2))
			mongotest.Delete(t, database, mongofeed.Agents, byID(1))
			p.accept()
			g.until(agentKey(2), keys.Allowed, keys.Unknown)
			g.until(agentKey(1), keys.Unknown, keys.FeedAway)
		})
	}
}

// Without a snapshot there are no keys at such a start, but nobody is told that a key is wrong. A server that refuses is not
// waited for.
func TestStartWithNothing(t *testing.T) {
	database := mongotest.Database(t)
	mongotest.Insert(t, database, mongofeed.Agents, agent(1))
	p := newProxy(t)
	p.refuse()
	o := options(t, p.uri(database))
	o.Timeout = time.Hour
	g := run(t, newFeed(t, o))
	if got := g.reason(agentKey(1)); got != keys.FeedAway {
		t.Errorf("a key: %s", got)
	}
	if got := g.syncer.Status()[0].LastError; !strings.Contains(got, "refuses connections") {
		t.Errorf("the error: %s", got)
	}
	p.accept()
	g.until(agentKey(1), keys.Allowed, keys.Unknown)
}

// A DNS that is away is like a database that is away, and is not asked before the database is needed.
func TestStartWithoutTheDNS(t *testing.T) {
	lookUp := dns.DefaultResolver.LookupSRV
	defer func() { dns.DefaultResolver.LookupSRV = lookUp }()
	asked := 0
	dns.DefaultResolver.LookupSRV = func(string, string, string) (string, []*net.SRV, error) {
		asked++
		return "", nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	}
	f := newFeed(t, options(t, "mongodb+srv://reader:"+password+"@cluster.example.com/docsgpt"))
	if asked > 0 {
		t.Error("the DNS was asked by New")
	}
	set, err := f.Load(t.Context())
	stale := (*keys.Stale)(nil)
	if !errors.As(err, &stale) || !strings.Contains(err.Error(), "DNS") || len(set) != 0 {
		t.Errorf("Load: %d keys, %v", len(set), err)
	}
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the password shows: %v", err)
	}
}

// Patience has an end: then the last keys are forgotten until the database is back.
func TestPatienceEnds(t *testing.T) {
	database := mongotest.Database(t)
	mongotest.Insert(t, database, mongofeed.Agents, agent(1))
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
	for _, c := range []struct {
		name     string
		streamed bool
		ready    func(t *testing.T, p *proxy, uri string)
	}{
		{"polling", false, func(*testing.T, *proxy, string) {}},
		{"in a poll that is not answered", false, func(t *testing.T, p *proxy, _ string) {
			p.swallow()
			await(t, p.fell)
		}},
		{"waiting for a change stream", true, func(*testing.T, *proxy, string) {}},
		{"while a load connects to nobody", false, func(t *testing.T, p *proxy, uri string) {
			p.swallow()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			f := newFeed(t, options(t, uri))
			go func() {
				_, err := f.Load(ctx)
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
			database := mongotest.Database(t)
			mongotest.Insert(t, database, mongofeed.Agents, agent(1))
			p, r := newProxy(t), newReplica(t)
			uri := p.uri(database)
			if c.streamed {
				uri = r.uri()
			}
			f := newFeed(t, options(t, uri))
			ignore := goleak.IgnoreCurrent()
			ctx, cancel := context.WithCancel(t.Context())
			changed, ended := make(chan struct{}, 1), make(chan error, 1)
			go func() {
				ended <- f.Watch(ctx, func() {
					select {
					case changed <- struct{}{}:
					default:
					}
				})
			}()
			await(t, changed)
			c.ready(t, p, uri)
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
			r.stop()
			goleak.VerifyNone(t, ignore)
		})
	}
}

// The snapshot follows changes without a load.
func TestSnapshotFollows(t *testing.T) {
	database := mongotest.Database(t)
	mongotest.Insert(t, database, mongofeed.Agents, agent(1))
	p := newProxy(t)
	o := options(t, p.uri(database))
	o.SnapshotPath = filepath.Join(t.TempDir(), "keys.snapshot")
	g := run(t, newFeed(t, o))
	mongotest.Insert(t, database, mongofeed.Agents, agent(2))
	mongotest.Delete(t, database, mongofeed.Agents, bson.D{is("_id", agentID(1))})
	g.until(agentKey(2), keys.Allowed)
	p.refuse()
	eventually(t, "a snapshot with the change", func() bool {
		set, err := newFeed(t, o).Load(t.Context())
		if stale := (*keys.Stale)(nil); !errors.As(err, &stale) {
			t.Fatalf("Load: %v", err)
		}
		return len(set) == 1 && set[0].ID == keyID(2)
	})
}
