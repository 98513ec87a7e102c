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

// The same rules apply to each kind of outage: known keys remain valid, other tokens are neither accepted nor rejected as unknown,
// and after the outage the changes are loaded automatically.
func TestOutage(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func())
	}{
		{"refused while idle", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Refuse(); change() }},
		{"cut during a poll", func(t *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) {
			cut := p.CutAfter(30_000)
			change()
			feedtest.Await(t, cut)
		}},
		{"cut during a full read", func(t *testing.T, p *feedtest.Proxy, g *feedtest.Harness, change func()) {
			p.Blackhole()
			g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
			change()
			p.Accept()
			feedtest.Await(t, p.CutAfter(60_000))
		}},
		{"blackholed", func(_ *testing.T, p *feedtest.Proxy, _ *feedtest.Harness, change func()) { p.Blackhole(); change() }},
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
				t.Error("no error was reported")
			}
			for _, fault := range faults {
				if strings.Contains(fault, "not as expected") {
					t.Errorf("an error that does not contain the reason: %s", fault)
				}
			}
		})
	}
}

func TestColdStartSnapshot(t *testing.T) {
	feedtest.TestColdStartSnapshot(t, func(t *testing.T) feedtest.Database { return newDatabase(t) })
}

func TestColdStartNoSnapshot(t *testing.T) { feedtest.TestColdStartNoSnapshot(t, newDatabase(t)) }

func TestMaxStale(t *testing.T) { feedtest.TestMaxStale(t, newDatabase(t)) }

func TestSnapshotUpdated(t *testing.T) { feedtest.TestSnapshotUpdated(t, newDatabase(t)) }

// An unavailable DNS server is like an unavailable database. It is not queried before the database is needed.
func TestColdStartNoDNS(t *testing.T) {
	lookUp := dns.DefaultResolver.LookupSRV
	defer func() { dns.DefaultResolver.LookupSRV = lookUp }()
	asked := 0
	dns.DefaultResolver.LookupSRV = func(string, string, string) (string, []*net.SRV, error) {
		asked++
		return "", nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	}
	f := newFeed(t, options(t, "mongodb+srv://reader:"+password+"@cluster.example.com/docsgpt"))
	if asked > 0 {
		t.Error("New queried the DNS")
	}
	set, err := f.Load(t.Context())
	stale := (*keys.StaleError)(nil)
	if !errors.As(err, &stale) || !strings.Contains(err.Error(), "DNS") || len(set) != 0 {
		t.Errorf("Load: %d keys, %v", len(set), err)
	}
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the error contains the password: %v", err)
	}
}

// In each state of the connection, Watch and Load return when the context is canceled, and no goroutine is leaked.
func TestContextCanceled(t *testing.T) {
	for _, c := range []struct {
		name     string
		streamed bool
		ready    func(t *testing.T, p *feedtest.Proxy, uri string)
	}{
		{"polling", false, func(*testing.T, *feedtest.Proxy, string) {}},
		{"during a poll without response", false, func(t *testing.T, p *feedtest.Proxy, _ string) {
			p.Blackhole()
			feedtest.Await(t, p.Blackholed())
		}},
		{"waiting for a change stream", true, func(*testing.T, *feedtest.Proxy, string) {}},
		{"while a load connects to an unreachable server", false, func(t *testing.T, p *feedtest.Proxy, uri string) {
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
