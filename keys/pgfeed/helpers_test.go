package pgfeed_test

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

//go:embed testdata/docsgpt-0.17.sql
var schema017 string

//go:embed testdata/docsgpt-1.1.sql
var added11 string

// patience bounds everything that a test waits for.
const patience = 20 * time.Second

// docsgpt makes a database with the schema of DocsGPT 1.1.
func docsgpt(t testing.TB) (database string) {
	t.Helper()
	database = pgtest.Database(t)
	pgtest.Exec(t, database, schema017+added11)
	return database
}

// uuid is the n-th id of a kind.
func uuid(kind, n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, n) }

// agentID and agentKey are the id and the key of a test's n-th agent.
func agentID(n int) string  { return uuid(1, n) }
func agentKey(n int) string { return uuid(0xabcdef, n) }

// insert is the statement that makes the n-th agent.
func insert(n int) string {
	return fmt.Sprintf("INSERT INTO agents (id, user_id, name, status, key) VALUES ('%s', 'local', 'Agent %d', 'published', '%s');",
		agentID(n), n, agentKey(n))
}

// options are those of a feed for a test: quick, and with trouble in the test's log.
func options(t testing.TB, uri string) pgfeed.Options {
	return pgfeed.Options{
		URI: keys.NewSecret(uri), Poll: 20 * time.Millisecond, Timeout: patience,
		Note: func(text string) { t.Logf("note: %s", text) },
	}
}

func newFeed(t testing.TB, o pgfeed.Options) *pgfeed.Feed {
	t.Helper()
	f, err := pgfeed.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return f
}

func load(t testing.TB, f *pgfeed.Feed) map[string]keys.Key {
	t.Helper()
	set, err := f.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return byID(set)
}

func byID(set []keys.Key) map[string]keys.Key {
	m := make(map[string]keys.Key, len(set))
	for _, k := range set {
		m[k.ID] = k
	}
	return m
}

// gate is a feed with all that stands behind it.
type gate struct {
	t        testing.TB
	store    *keys.Store
	verifier *keys.Verifier
	syncer   *keys.Syncer

	mu     sync.Mutex
	loads  int // that were applied
	faults []string
}

// run brings a feed into a gate and keeps it there until the test ends.
func run(t testing.TB, f *pgfeed.Feed) *gate {
	t.Helper()
	g := &gate{t: t, store: keys.NewStore()}
	verifier, err := keys.NewVerifier(g.store, keys.CacheConfig{})
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	g.verifier = verifier
	g.syncer = keys.NewSyncer(g.store, []keys.Feed{f}, g)
	if err := g.syncer.LoadAll(t.Context()); err != nil {
		t.Fatalf("LoadAll: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); g.syncer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the syncer has not ended")
		}
		verifier.Close()
	})
	return g
}

// FeedLoaded implements keys.Observer.
func (g *gate) FeedLoaded(string, int, keys.Change, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.loads++
}

// FeedFailed implements keys.Observer.
func (g *gate) FeedFailed(_ string, err error, _ time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, err.Error())
}

func (g *gate) loaded() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loads
}

func (g *gate) reason(token string) keys.Reason { return g.verifier.Verify(token, time.Now()).Reason }

// until waits for a decision on a token. On the way there none of the others may be seen.
func (g *gate) until(token string, want keys.Reason, never ...keys.Reason) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("a decision %q", want), func() bool {
		got := g.reason(token)
		for _, n := range never {
			if got == n {
				g.t.Fatalf("decision %q on the way to %q", got, want)
			}
		}
		return got == want
	})
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("there was never %s", what)
		}
	}
}
