package feedtest

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/keys"
)

// Database is the database of a DocsGPT for one test. It has no agents at the start.
type Database interface {
	// Host returns the address of its server, a host and a port.
	Host() string

	// Add adds the n-th agent.
	Add(n int)

	// Remove removes the n-th agent.
	Remove(n int)

	// Token returns the key of the n-th agent.
	Token(n int) string

	// KeyID returns the id of the gate's key for the n-th agent.
	KeyID(n int) string

	// Feed returns a feed that reads it through a proxy. The defaults for zero options suit tests: a short poll interval and long
	// timeouts.
	Feed(via *Proxy, o Options) keys.RemoteFeed
}

// Options are the common options of feeds.
type Options struct {
	SnapshotPath                    string
	PollInterval, MaxStale, Timeout time.Duration
}

// TestOutage tests an outage of a database that contains agent 1, during which agent 2 is added. Known keys remain valid, other
// tokens are neither accepted nor rejected as unknown, and after the outage the change is loaded automatically.
func TestOutage(t *testing.T, d Database, p *Proxy, f keys.RemoteFeed, lose func(g *Harness, change func())) *Harness {
	t.Helper()
	g := Run(t, f)
	g.WaitWatched()
	g.WaitFor(UnknownToken, keys.UnknownToken) // before the outage; on a slow machine the feed's timeout may have been exceeded

	lose(g, func() { d.Add(2) })
	start := time.Now()
	g.WaitFor(UnknownToken, keys.FeedUnavailable)
	t.Logf("detected the outage after %s", time.Since(start).Round(time.Millisecond))
	g.Want("a known key during the outage", d.Token(1), keys.Allowed)

	before := f.LastConfirmed()
	p.Accept()
	start = time.Now()
	g.WaitFor(d.Token(2), keys.Allowed, keys.UnknownToken)
	t.Logf("recovered after %s", time.Since(start).Round(time.Millisecond))
	g.WaitFor(UnknownToken, keys.UnknownToken)
	Eventually(t, "a newer confirmation", func() bool { return f.LastConfirmed().After(before) })
	return g
}

// TestColdStartSnapshot tests a start during an outage: the keys of the snapshot are used, and the error contains their age.
func TestColdStartSnapshot(t *testing.T, database func(t *testing.T) Database) {
	t.Helper()
	for _, c := range []struct {
		name string
		lose func(*Proxy)
	}{
		{"refused", (*Proxy).Refuse},
		{"blackholed", (*Proxy).Blackhole},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := database(t)
			d.Add(1)
			p := NewProxy(t, d.Host())
			o := Options{SnapshotPath: filepath.Join(t.TempDir(), "keys.snapshot"), Timeout: time.Second}
			before := d.Feed(p, o)
			Load(t, before)

			c.lose(p)
			set, err := d.Feed(p, o).Load(t.Context())
			stale := (*keys.StaleError)(nil)
			if !errors.As(err, &stale) || !stale.AsOf.Equal(before.LastConfirmed()) || len(set) != 1 {
				t.Fatalf("Load: %d keys, %v; want one, cached at %s", len(set), err, before.LastConfirmed())
			}
			g := Run(t, d.Feed(p, o))
			g.Want("a cached key", d.Token(1), keys.Allowed)
			g.Want("an unknown key", UnknownToken, keys.FeedUnavailable)
			d.Add(2)
			d.Remove(1)
			p.Accept()
			g.WaitFor(d.Token(2), keys.Allowed, keys.UnknownToken)
			g.WaitFor(d.Token(1), keys.UnknownToken)
		})
	}
}

// TestColdStartNoSnapshot tests a start during an outage without a snapshot: there are no keys, but no token is rejected as unknown. The
// feed does not wait for a server that refuses connections.
func TestColdStartNoSnapshot(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	p.Refuse()
	g := Run(t, d.Feed(p, Options{Timeout: time.Hour}))
	g.Want("a key", d.Token(1), keys.FeedUnavailable)
	if got, want := g.Errors(), "refuses connections"; len(got) == 0 || !strings.Contains(got[0], want) {
		t.Errorf("the errors %q do not contain %q", got, want)
	}
	p.Accept()
	g.WaitFor(d.Token(1), keys.Allowed, keys.UnknownToken)
}

// TestMaxStale tests an outage that is longer than the feed's maximum staleness: the cached keys are removed until the database is
// available again.
func TestMaxStale(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	g := Run(t, d.Feed(p, Options{MaxStale: 500 * time.Millisecond}))
	g.WaitWatched()
	g.WaitFor(d.Token(1), keys.Allowed)
	p.Refuse()
	g.WaitFor(d.Token(1), keys.FeedUnavailable, keys.UnknownToken)
	if n := g.Store.Len(); n != 0 {
		t.Errorf("%d keys remain", n)
	}
	p.Accept()
	g.WaitFor(d.Token(1), keys.Allowed, keys.UnknownToken)
}

// TestSnapshotUpdated tests that the snapshot includes changes that were applied without a full load.
func TestSnapshotUpdated(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	o := Options{SnapshotPath: filepath.Join(t.TempDir(), "keys.snapshot")}
	g := Run(t, d.Feed(p, o))
	d.Remove(1)
	d.Add(2) // a feed that has seen this change has seen both
	g.WaitFor(d.Token(2), keys.Allowed)
	p.Refuse()
	Eventually(t, "a snapshot with the change", func() bool {
		set, err := d.Feed(p, o).Load(t.Context())
		if stale := (*keys.StaleError)(nil); !errors.As(err, &stale) {
			t.Fatalf("Load: %v", err)
		}
		return len(set) == 1 && set[0].ID == d.KeyID(2)
	})
}

// TestIgnoresUnrelatedWrites tests that conversations of agents 1 and 2 cause neither a change of a key nor a load. polls: the feed
// polls the database.
func TestIgnoresUnrelatedWrites(t *testing.T, d Database, f keys.RemoteFeed, polls bool, converse func(agent, n int)) {
	t.Helper()
	d.Add(1)
	d.Add(2)
	g := Run(t, f)
	g.WaitWatched()
	before := g.Loads()
	for n := range 10 {
		confirmed := f.LastConfirmed()
		converse(1+n%2, n)
		if polls {
			Eventually(t, "the next poll", func() bool { return f.LastConfirmed().After(confirmed) })
		}
	}
	revision := g.Store.Revision()
	d.Add(3) // the last change
	g.WaitFor(d.Token(3), keys.Allowed)
	if got := g.Loads() - before; got != 1 {
		t.Errorf("%d loads for 10 conversations and a new agent, want 1", got)
	}
	if got := g.Store.Revision() - revision; got != 1 {
		t.Errorf("%d changes of the store, want 1", got)
	}
}

// TestContextCanceled watches a feed, cancels the context when ready has returned, and checks that no goroutine is leaked. ready
// receives the notifications of the watch. stop ends everything else that the test has started, and may be nil.
func TestContextCanceled(t *testing.T, p *Proxy, f keys.Feed, ready func(changed <-chan struct{}), stop func()) {
	t.Helper()
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
	ready(changed)
	cancel()
	if err := waitResult(t, "Watch", ended); err != nil {
		t.Errorf("Watch: %v, want nil", err)
	}
	if _, err := f.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
	p.Close()
	if stop != nil {
		stop()
	}
	goleak.VerifyNone(t, ignore)
}

// TestLoadCanceled cancels the context of a load whose connection is blackholed.
func TestLoadCanceled(t *testing.T, p *Proxy, f keys.Feed) {
	t.Helper()
	p.Blackhole()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := f.Load(ctx)
		ended <- err
	}()
	Await(t, p.Blackholed())
	cancel()
	if err := waitResult(t, "Load", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
}

func waitResult(t *testing.T, what string, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(Timeout):
		t.Fatalf("%s did not end", what)
		return nil
	}
}
