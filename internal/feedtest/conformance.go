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
	Feed(via *Proxy, o Options) keys.Remote
}

// Options are the common options of feeds.
type Options struct {
	SnapshotPath            string
	Poll, Patience, Timeout time.Duration
}

// LostAndBack tests an outage of a database that contains agent 1, during which agent 2 is added. Known keys remain valid, other
// tokens are neither accepted nor rejected as unknown, and after the outage the change is loaded automatically.
func LostAndBack(t *testing.T, d Database, p *Proxy, f keys.Remote, lose func(g *Gate, change func())) *Gate {
	t.Helper()
	g := Run(t, f)
	g.Watched()
	g.Until(UnknownToken, keys.Unknown) // before the outage; on a slow machine the feed's timeout may have been exceeded

	lose(g, func() { d.Add(2) })
	start := time.Now()
	g.Until(UnknownToken, keys.FeedAway)
	t.Logf("detected the outage after %s", time.Since(start).Round(time.Millisecond))
	g.Want("a known key during the outage", d.Token(1), keys.Allowed)

	before := f.Fresh()
	p.Accept()
	start = time.Now()
	g.Until(d.Token(2), keys.Allowed, keys.Unknown)
	t.Logf("recovered after %s", time.Since(start).Round(time.Millisecond))
	g.Until(UnknownToken, keys.Unknown)
	Eventually(t, "a newer confirmation", func() bool { return f.Fresh().After(before) })
	return g
}

// StartWithoutTheDatabase tests a start during an outage: the keys of the snapshot are used, and the error contains their age.
func StartWithoutTheDatabase(t *testing.T, database func(t *testing.T) Database) {
	t.Helper()
	for _, c := range []struct {
		name string
		lose func(*Proxy)
	}{
		{"refused", (*Proxy).Refuse},
		{"blackholed", (*Proxy).Swallow},
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
			stale := (*keys.Stale)(nil)
			if !errors.As(err, &stale) || !stale.At.Equal(before.Fresh()) || len(set) != 1 {
				t.Fatalf("Load: %d keys, %v; want one, cached at %s", len(set), err, before.Fresh())
			}
			g := Run(t, d.Feed(p, o))
			g.Want("a cached key", d.Token(1), keys.Allowed)
			g.Want("an unknown key", UnknownToken, keys.FeedAway)
			d.Add(2)
			d.Remove(1)
			p.Accept()
			g.Until(d.Token(2), keys.Allowed, keys.Unknown)
			g.Until(d.Token(1), keys.Unknown)
		})
	}
}

// StartWithNothing tests a start during an outage without a snapshot: there are no keys, but no token is rejected as unknown. The
// feed does not wait for a server that refuses connections.
func StartWithNothing(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	p.Refuse()
	g := Run(t, d.Feed(p, Options{Timeout: time.Hour}))
	g.Want("a key", d.Token(1), keys.FeedAway)
	if got, want := g.Faults(), "refuses connections"; len(got) == 0 || !strings.Contains(got[0], want) {
		t.Errorf("the errors %q do not contain %q", got, want)
	}
	p.Accept()
	g.Until(d.Token(1), keys.Allowed, keys.Unknown)
}

// PatienceEnds tests an outage that is longer than the feed's maximum staleness: the cached keys are removed until the database is
// available again.
func PatienceEnds(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	g := Run(t, d.Feed(p, Options{Patience: 500 * time.Millisecond}))
	g.Watched()
	g.Until(d.Token(1), keys.Allowed)
	p.Refuse()
	g.Until(d.Token(1), keys.FeedAway, keys.Unknown)
	if n := g.Store.Len(); n != 0 {
		t.Errorf("%d keys remain", n)
	}
	p.Accept()
	g.Until(d.Token(1), keys.Allowed, keys.Unknown)
}

// SnapshotFollows tests that the snapshot includes changes that were applied without a full load.
func SnapshotFollows(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	o := Options{SnapshotPath: filepath.Join(t.TempDir(), "keys.snapshot")}
	g := Run(t, d.Feed(p, o))
	d.Remove(1)
	d.Add(2) // a feed that has seen this change has seen both
	g.Until(d.Token(2), keys.Allowed)
	p.Refuse()
	Eventually(t, "a snapshot with the change", func() bool {
		set, err := d.Feed(p, o).Load(t.Context())
		if stale := (*keys.Stale)(nil); !errors.As(err, &stale) {
			t.Fatalf("Load: %v", err)
		}
		return len(set) == 1 && set[0].ID == d.KeyID(2)
	})
}

// ConversationsAreNoChange tests that conversations of agents 1 and 2 cause neither a change of a key nor a load. polls: the feed
// polls the database.
func ConversationsAreNoChange(t *testing.T, d Database, f keys.Remote, polls bool, converse func(agent, n int)) {
	t.Helper()
	d.Add(1)
	d.Add(2)
	g := Run(t, f)
	g.Watched()
	before := g.Loads()
	for n := range 10 {
		confirmed := f.Fresh()
		converse(1+n%2, n)
		if polls {
			Eventually(t, "the next poll", func() bool { return f.Fresh().After(confirmed) })
		}
	}
	revision := g.Store.Revision()
	d.Add(3) // the last change
	g.Until(d.Token(3), keys.Allowed)
	if got := g.Loads() - before; got != 1 {
		t.Errorf("%d loads for 10 conversations and a new agent, want 1", got)
	}
	if got := g.Store.Revision() - revision; got != 1 {
		t.Errorf("%d changes of the store, want 1", got)
	}
}

// ContextEndsEverything watches a feed, cancels the context when ready has returned, and checks that no goroutine is leaked. ready
// receives the notifications of the watch. stop ends everything else that the test has started, and may be nil.
func ContextEndsEverything(t *testing.T, p *Proxy, f keys.Feed, ready func(changed <-chan struct{}), stop func()) {
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

// LoadIsGivenUp cancels the context of a load whose connection is blackholed.
func LoadIsGivenUp(t *testing.T, p *Proxy, f keys.Feed) {
	t.Helper()
	p.Swallow()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := f.Load(ctx)
		ended <- err
	}()
	Await(t, p.Swallowed())
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
	case <-time.After(Patience):
		t.Fatalf("%s did not end", what)
		return nil
	}
}
