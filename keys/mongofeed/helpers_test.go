package mongofeed_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

func TestMain(m *testing.M) { os.Exit(mongotest.Main(m)) }

// patience bounds everything that a test waits for.
const patience = 20 * time.Second

// unknownKey is a key that no agent has.
const unknownKey = "nobody-has-this-one"

// oid is the n-th id of a kind.
func oid(kind, n int) bson.ObjectID {
	id, err := bson.ObjectIDFromHex(fmt.Sprintf("%012x%012x", kind, n))
	if err != nil {
		panic(err)
	}
	return id
}

// agentID and agentKey are the id and the key of a test's n-th agent.
func agentID(n int) bson.ObjectID { return oid(1, n) }
func keyID(n int) string          { return "agent_" + agentID(n).Hex() }
func agentKey(n int) string       { return fmt.Sprintf("00abcdef-0000-4000-8000-%012x", n) }

// dbRef is a reference in the way DocsGPT's driver writes it. The tests' real server takes none.
func dbRef(id any) bson.D { return bson.D{{Key: "$ref", Value: "sources"}, {Key: "$id", Value: id}} }

// agent is the n-th agent as DocsGPT 0.16 writes it, with some of its own fields instead of the usual ones.
func agent(n int, own ...bson.E) bson.D {
	usual := bson.D{
		{Key: "_id", Value: agentID(n)},
		{Key: "user", Value: "local"},
		{Key: "name", Value: fmt.Sprintf("Agent %d", n)},
		{Key: "description", Value: "Answers questions"},
		{Key: "image", Value: ""},
		{Key: "source", Value: "default"},
		{Key: "sources", Value: bson.A{}},
		{Key: "chunks", Value: "2"},
		{Key: "retriever", Value: "classic"},
		{Key: "prompt_id", Value: "default"},
		{Key: "tools", Value: bson.A{}},
		{Key: "agent_type", Value: "classic"},
		{Key: "status", Value: "published"},
		{Key: "json_schema", Value: nil},
		{Key: "limited_token_mode", Value: false},
		{Key: "token_limit", Value: int32(50000)},
		{Key: "limited_request_mode", Value: false},
		{Key: "request_limit", Value: int32(500)},
		{Key: "createdAt", Value: time.Unix(1_700_000_000, 0)},
		{Key: "updatedAt", Value: time.Unix(1_700_000_000, 0)},
		{Key: "lastUsedAt", Value: nil},
		{Key: "key", Value: agentKey(n)},
		{Key: "incoming_webhook_token", Value: nil},
	}
	for _, e := range own {
		found := false
		for i := range usual {
			if usual[i].Key == e.Key {
				usual[i].Value, found = e.Value, true
			}
		}
		if !found {
			usual = append(usual, e)
		}
	}
	return usual
}

func is(name string, value any) bson.E { return bson.E{Key: name, Value: value} }

func byID(n int) bson.D { return bson.D{is("_id", agentID(n))} }

func set(fields ...bson.E) bson.D { return bson.D{is("$set", bson.D(fields))} }

// fill puts many agents with keys "key-1" and so on into a database.
func fill(t testing.TB, database string, count int) {
	t.Helper()
	for from := 1; from <= count; from += 1000 {
		var docs []any
		for n := from; n < from+1000 && n <= count; n++ {
			docs = append(docs, agent(n, is("_id", oid(5, n)), is("key", fmt.Sprintf("key-%d", n))))
		}
		mongotest.Insert(t, database, mongofeed.Agents, docs...)
	}
}

// options are those of a feed for a test: quick, and with trouble in the test's log.
func options(t testing.TB, uri string) mongofeed.Options {
	return mongofeed.Options{
		URI: keys.NewSecret(uri), Poll: 20 * time.Millisecond, Timeout: patience,
		Note: func(text string) { t.Logf("note: %s", text) },
	}
}

func newFeed(t testing.TB, o mongofeed.Options) *mongofeed.Feed {
	t.Helper()
	f, err := mongofeed.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return f
}

func load(t testing.TB, f *mongofeed.Feed) map[string]keys.Key {
	t.Helper()
	list, err := f.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	m := make(map[string]keys.Key, len(list))
	for _, k := range list {
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
func run(t testing.TB, f *mongofeed.Feed) *gate {
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
