package mongofeed_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/dns"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys"
)

// The gate keeps to the same rules however the database is lost: known keys go on, others are neither accepted nor called
// wrong, and when it is back what has changed meanwhile counts, without anybody's help.
func TestDatabaseLostAndBack(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func())
	}{
		{"refused while nothing happens", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Refuse(); change() }},
		{"cut in the middle of a poll", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(30_000)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut in the middle of a snapshot", func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func()) {
			p.Blackhole()
			g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
			change()
			p.Accept()
			feedtest.Await(t, p.CutAfter(60_000))
		}},
		{"swallowed without a word", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Blackhole(); change() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			d.Add(1)
			fill(t, d.name, 400)
			p := feedtest.NewProxy(t, mongotest.Host())
			o := options(t, through(p, d.name))
			o.PollInterval, o.Timeout = 0, 3*time.Second
			g := feedtest.TestOutage(t, d, p, newFeed(t, o), func(g *feedtest.Harness, change func()) { c.lose(t, p, g, change) })
			faults := g.Errors()
			if len(faults) == 0 {
				t.Error("no fault was reported")
			}
			for _, fault := range faults {
				if strings.Contains(fault, "not as expected") {
					t.Errorf("a fault that says nothing: %s", fault)
				}
			}
		})
	}
}

func TestStartWithoutTheDatabase(t *testing.T) {
	feedtest.TestColdStartSnapshot(t, func(t *testing.T) feedtest.Database { return newDatabase(t) })
}

func TestStartWithNothing(t *testing.T) { feedtest.TestColdStartNoSnapshot(t, newDatabase(t)) }

func TestPatienceEnds(t *testing.T) { feedtest.TestMaxStale(t, newDatabase(t)) }

func TestSnapshotFollows(t *testing.T) { feedtest.TestSnapshotUpdated(t, newDatabase(t)) }

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
	stale := (*keys.StaleError)(nil)
	if !errors.As(err, &stale) || !strings.Contains(err.Error(), "DNS") || len(set) != 0 {
		t.Errorf("Load: %d keys, %v", len(set), err)
	}
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the password shows: %v", err)
	}
}

// Whatever the connection is doing, the end of the context ends everything, and nothing is left behind.
func TestContextEndsEverything(t *testing.T) {
	for _, c := range []struct {
		name     string
		streamed bool
		ready    func(t *testing.T, p *feedtest.Proxy, uri string)
	}{
		{"polling", false, func(*testing.T, *feedtest.Proxy, string) {}},
		{"in a poll that is not answered", false, func(t *testing.T, p *feedtest.Proxy, _ string) {
			p.Blackhole()
			feedtest.Await(t, p.Blackholed())
		}},
		{"waiting for a change stream", true, func(*testing.T, *feedtest.Proxy, string) {}},
		{"while a load connects to nobody", false, func(t *testing.T, p *feedtest.Proxy, uri string) {
			feedtest.TestLoadCanceled(t, p, newFeed(t, options(t, uri)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDatabase(t)
			d.Add(1)
			p, r := feedtest.NewProxy(t, mongotest.Host()), newReplica(t)
			uri := through(p, d.name)
			if c.streamed {
				uri = r.uri()
			}
			feedtest.TestContextCanceled(t, p, newFeed(t, options(t, uri)), func(changed <-chan struct{}) {
				feedtest.Await(t, changed)
				c.ready(t, p, uri)
			}, r.stop)
		})
	}
}
