// Package feedtest holds what the tests of feeds that read another system's keys have in common: a gate of store, syncer and
// verifier that follows a feed, a proxy that breaks connections, and the promises that every such feed keeps.
package feedtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Patience bounds everything that a test waits for. It is long enough for a machine on which much else is going on.
const Patience = time.Minute

// UnknownToken is a token that no agent has.
const UnknownToken = "nobody-has-this-one"

// Gate is a feed with all that stands behind it. It is safe for concurrent use. Make one with Run.
type Gate struct {
	Store    *keys.Store
	Verifier *keys.Verifier
	Syncer   *keys.Syncer

	t      testing.TB
	mu     sync.Mutex // guards the following
	loads  int        // that were applied
	faults []string
}

// Run brings a feed into a gate and keeps it there until the test ends.
func Run(t testing.TB, f keys.Feed) *Gate {
	t.Helper()
	g := &Gate{t: t, Store: keys.NewStore()}
	verifier, err := keys.NewVerifier(g.Store, keys.CacheConfig{})
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	g.Verifier = verifier
	g.Syncer = keys.NewSyncer(g.Store, []keys.Feed{f}, g)
	if err := g.Syncer.LoadAll(t.Context()); err != nil {
		t.Fatalf("LoadAll: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); g.Syncer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(Patience):
			t.Error("the syncer has not ended")
		}
		verifier.Close()
	})
	return g
}

// FeedLoaded implements keys.Observer.
func (g *Gate) FeedLoaded(string, int, keys.Change, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.loads++
}

// FeedFailed implements keys.Observer.
func (g *Gate) FeedFailed(_ string, err error, _ time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, err.Error())
}

// Loads returns how many loads were applied.
func (g *Gate) Loads() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loads
}

// Faults returns the texts of the failures that were reported.
func (g *Gate) Faults() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.faults...)
}

// Reason is the decision on a token now.
func (g *Gate) Reason(token string) keys.Reason { return g.Verifier.Verify(token, time.Now()).Reason }

// Want compares the decision on a token with what it should be.
func (g *Gate) Want(what, token string, want keys.Reason) {
	g.t.Helper()
	if got := g.Reason(token); got != want {
		g.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// Watched waits until the feed is watched: its watch has compared everything, and a load has taken that in.
func (g *Gate) Watched() {
	g.t.Helper()
	Eventually(g.t, "a watch", func() bool { return g.Loads() >= 2 })
}

// Until waits for a decision on a token. On the way there none of the others may be seen.
func (g *Gate) Until(token string, want keys.Reason, never ...keys.Reason) {
	g.t.Helper()
	Eventually(g.t, fmt.Sprintf("a decision %q", want), func() bool {
		got := g.Reason(token)
		for _, n := range never {
			if got == n {
				g.t.Fatalf("decision %q on the way to %q", got, want)
			}
		}
		return got == want
	})
}

// Agrees compares the gate's keys with those that a feed loads now.
func (g *Gate) Agrees(f keys.Feed) {
	g.t.Helper()
	want := Load(g.t, f)
	if g.Store.Len() != len(want) {
		g.t.Fatalf("%d keys, want %d", g.Store.Len(), len(want))
	}
	for id, k := range want {
		got := g.Store.Get(id)
		if got == nil || got.Digest != k.Digest || got.Name != k.Name {
			g.t.Errorf("key %s is not what the database says", id)
		}
	}
}

// Load loads a feed, and returns its keys by their ids.
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

// Eventually waits until something is done.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("there was never %s", what)
		}
	}
}

// Await waits for something that happens to a connection.
func Await(t testing.TB, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(Patience):
		t.Fatal("the connection was never used")
	}
}
