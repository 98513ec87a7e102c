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

// Database is a DocsGPT's database for one test. It begins without agents.
type Database interface {
	// Host is where its server is: a host and a port.
	Host() string

	// Add adds the n-th agent.
	Add(n int)

	// Remove removes the n-th agent.
	Remove(n int)

	// Token is the key of the n-th agent.
	Token(n int) string

	// KeyID is the id of the n-th agent as a key of the gate.
	KeyID(n int) string

	// Feed returns a feed of it through a proxy. Zero options are what suits tests, a quick poll and much time.
	Feed(via *Proxy, o Options) keys.Remote
}

// Options of a feed, as all of them have.
type Options struct {
	SnapshotPath            string
	Poll, Patience, Timeout time.Duration
}

// LostAndBack loses a database that has the agent 1 under a gate, adds agent 2, and brings the database back: known keys go
// on, others are neither accepted nor called wrong, and what has changed meanwhile counts, without anybody's help.
func LostAndBack(t *testing.T, d Database, p *Proxy, f keys.Remote, lose func(g *Gate, change func())) *Gate {
	t.Helper()
	g := Run(t, f)
	g.Watched()
	g.Until(UnknownToken, keys.Unknown) // while all is well; a slow machine may have exceeded the feed's timeout for a moment

	lose(g, func() { d.Add(2) })
	begun := time.Now()
	g.Until(UnknownToken, keys.FeedAway)
	t.Logf("noticed after %s", time.Since(begun).Round(time.Millisecond))
	g.Want("a known key while the database is away", d.Token(1), keys.Allowed)

	away := f.Fresh()
	p.Accept()
	back := time.Now()
	g.Until(d.Token(2), keys.Allowed, keys.Unknown)
	t.Logf("back after %s", time.Since(back).Round(time.Millisecond))
	g.Until(UnknownToken, keys.Unknown)
	Eventually(t, "a newer confirmation", func() bool { return f.Fresh().After(away) })
	return g
}

// StartWithoutTheDatabase starts without the database: the snapshot serves, and says from when it is.
func StartWithoutTheDatabase(t *testing.T, database func(t *testing.T) Database) {
	t.Helper()
	for _, c := range []struct {
		name string
		lose func(*Proxy)
	}{
		{"refused", (*Proxy).Refuse},
		{"swallowed", (*Proxy).Swallow},
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
				t.Fatalf("Load: %d keys, %v; want one, kept from %s", len(set), err, before.Fresh())
			}
			g := Run(t, d.Feed(p, o))
			g.Want("a kept key", d.Token(1), keys.Allowed)
			g.Want("an unknown key", UnknownToken, keys.FeedAway)
			d.Add(2)
			d.Remove(1)
			p.Accept()
			g.Until(d.Token(2), keys.Allowed, keys.Unknown)
			g.Until(d.Token(1), keys.Unknown)
		})
	}
}

// StartWithNothing starts without the database and without a snapshot: there are no keys then, but nobody is told that a key
// is wrong. A server that refuses is not waited for.
func StartWithNothing(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	p.Refuse()
	g := Run(t, d.Feed(p, Options{Timeout: time.Hour}))
	g.Want("a key", d.Token(1), keys.FeedAway)
	if got, want := g.Faults(), "refuses connections"; len(got) == 0 || !strings.Contains(got[0], want) {
		t.Errorf("the faults %q do not say %q", got, want)
	}
	p.Accept()
	g.Until(d.Token(1), keys.Allowed, keys.Unknown)
}

// PatienceEnds waits for the end of patience: then the last keys are forgotten until the database is back.
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
		t.Errorf("%d keys are left", n)
	}
	p.Accept()
	g.Until(d.Token(1), keys.Allowed, keys.Unknown)
}

// SnapshotFollows looks whether the snapshot follows changes without a load.
func SnapshotFollows(t *testing.T, d Database) {
	t.Helper()
	d.Add(1)
	p := NewProxy(t, d.Host())
	o := Options{SnapshotPath: filepath.Join(t.TempDir(), "keys.snapshot")}
	g := Run(t, d.Feed(p, o))
	d.Remove(1)
	d.Add(2) // after it: who has seen this one has seen both
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

// ConversationsAreNoChange lets conversations go on in the agents 1 and 2, which is no change of a key and costs no load.
// looks tells whether the feed looks at the database by itself soon.
func ConversationsAreNoChange(t *testing.T, d Database, f keys.Remote, looks bool, goOn func(agent, n int)) {
	t.Helper()
	d.Add(1)
	d.Add(2)
	g := Run(t, f)
	g.Watched()
	before := g.Loads()
	for n := range 10 {
		looked := f.Fresh()
		goOn(1+n%2, n)
		if looks {
			Eventually(t, "a look after it", func() bool { return f.Fresh().After(looked) })
		}
	}
	revision := g.Store.Revision()
	d.Add(3) // what is noticed last
	g.Until(d.Token(3), keys.Allowed)
	if got := g.Loads() - before; got != 1 {
		t.Errorf("%d loads for 10 conversations and a new agent, want 1", got)
	}
	if got := g.Store.Revision() - revision; got != 1 {
		t.Errorf("%d changes of the store, want 1", got)
	}
}

// ContextEndsEverything watches a feed, ends the context once ready has returned, and looks that nothing is left behind. ready
// gets what the feed's watch tells. stop ends what else the test has started, and may be nil.
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
	if err := outcome(t, "Watch", ended); err != nil {
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

// LoadIsGivenUp ends the context of a load which the proxy does not answer.
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
	if err := outcome(t, "Load", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
}

func outcome(t *testing.T, what string, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(Patience):
		t.Fatalf("%s has not ended", what)
		return nil
	}
}
