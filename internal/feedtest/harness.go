// Package feedtest is a conformance test suite for feeds that read the keys of another system. It has a harness of store, syncer
// and verifier that follows a feed, and a proxy that breaks connections.
package feedtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Timeout is the timeout of everything that a test waits for. It is long enough for a busy machine.
const Timeout = time.Minute

// UnknownToken is not the key of any agent.
const UnknownToken = "nobody-has-this-one"

// Harness is a store, syncer and verifier that follow a feed. It is safe for concurrent use. Create one with Run.
type Harness struct {
	Store    *keys.Store
	Verifier *keys.Verifier
	Syncer   *keys.Syncer

	t      testing.TB
	stop   func()
	mu     sync.Mutex // guards the following
	loads  int        // applied loads
	errors []string
}

// Run follows a feed until the test ends.
func Run(t testing.TB, f keys.Feed) *Harness {
	t.Helper()
	return RunFeeds(t, []keys.Feed{f}, nil)
}

// RunFeeds follows feeds until the test ends or Stop is called. prepare is called with the store before the feeds are loaded, and may be
// nil.
func RunFeeds(t testing.TB, feeds []keys.Feed, prepare func(*keys.Store)) *Harness {
	t.Helper()
	g := &Harness{t: t, Store: keys.NewStore()}
	if prepare != nil {
		prepare(g.Store)
	}
	verifier, err := keys.NewVerifier(g.Store, keys.CacheConfig{})
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	g.Verifier = verifier
	g.Syncer = keys.NewSyncer(g.Store, feeds, g)
	if err := g.Syncer.LoadAll(t.Context()); err != nil {
		t.Fatalf("LoadAll: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); g.Syncer.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(Timeout):
			t.Error("the syncer did not end")
		}
		verifier.Close()
	})
	t.Cleanup(g.stop)
	return g
}

// Stop stops following the feeds.
func (g *Harness) Stop() { g.stop() }

// FeedLoaded implements keys.Observer.
func (g *Harness) FeedLoaded(string, int, keys.Change, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.loads++
}

// FeedFailed implements keys.Observer.
func (g *Harness) FeedFailed(_ string, err error, _ time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errors = append(g.errors, err.Error())
}

// Loads returns the number of loads that were applied.
func (g *Harness) Loads() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loads
}

// Errors returns the messages of the reported errors.
func (g *Harness) Errors() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.errors...)
}

// Reason returns the current decision on a token.
func (g *Harness) Reason(token string) keys.Reason {
	return g.Verifier.Verify(token, time.Now()).Reason
}

// Want checks the current decision on a token.
func (g *Harness) Want(what, token string, want keys.Reason) {
	g.t.Helper()
	if got := g.Reason(token); got != want {
		g.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// WaitWatched waits until the feed is watched: its watch has compared all keys, and the following load is applied.
func (g *Harness) WaitWatched() {
	g.t.Helper()
	Eventually(g.t, "a watch", func() bool { return g.Loads() >= 2 })
}

// WaitFor waits for a decision on a token. None of the decisions in never may occur before.
func (g *Harness) WaitFor(token string, want keys.Reason, never ...keys.Reason) {
	g.t.Helper()
	Eventually(g.t, fmt.Sprintf("a decision %q", want), func() bool {
		got := g.Reason(token)
		for _, n := range never {
			if got == n {
				g.t.Fatalf("decision %q before %q", got, want)
			}
		}
		return got == want
	})
}

// AssertInSync compares the store's keys with those that the feed loads now.
func (g *Harness) AssertInSync(f keys.Feed) {
	g.t.Helper()
	want := Load(g.t, f)
	if g.Store.Len() != len(want) {
		g.t.Fatalf("%d keys, want %d", g.Store.Len(), len(want))
	}
	for id, k := range want {
		got := g.Store.Get(id)
		if got == nil || got.Digest != k.Digest || got.Name != k.Name {
			g.t.Errorf("key %s differs from the database", id)
		}
	}
}

// Load loads a feed and returns its keys by id.
func Load(t testing.TB, f keys.Feed) map[string]keys.Key {
	t.Helper()
	set, err := f.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	all := make(map[string]keys.Key, len(set))
	for _, k := range set {
		all[k.ID] = k
	}
	return all
}

// Eventually waits until done returns true.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Timeout); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// Await waits for an event of a connection.
func Await(t testing.TB, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(Timeout):
		t.Fatal("timed out waiting for the connection")
	}
}
