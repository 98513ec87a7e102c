package mongofeed_test

import (
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

// Whatever changes in an agent, its key is the new one soon, and no other key is touched.
func TestEveryChangeIsNoticed(t *testing.T) {
	facts := func(g *gate) keys.Facts { return *g.store.Get(keyID(1)).Facts }
	change := func(fields ...bson.E) func(*testing.T, string) {
		return func(t *testing.T, database string) {
			mongotest.Update(t, database, mongofeed.Agents, byID(1), set(fields...))
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, database string)
		seen   func(g *gate) bool
	}{
		{
			"inserted", func(t *testing.T, database string) { mongotest.Insert(t, database, mongofeed.Agents, agent(3)) },
			func(g *gate) bool { return g.reason(agentKey(3)) == keys.Allowed },
		},
		{
			"deleted", func(t *testing.T, database string) { mongotest.Delete(t, database, mongofeed.Agents, byID(1)) },
			func(g *gate) bool { return g.reason(agentKey(1)) == keys.Unknown },
		},
		{
			"rotated", change(is("key", "rotated")),
			func(g *gate) bool {
				return g.reason("rotated") == keys.Allowed && g.reason(agentKey(1)) == keys.Unknown
			},
		},
		{"key taken away", change(is("key", "")), func(g *gate) bool { return g.reason(agentKey(1)) == keys.Unknown }},
		{
			"key made an object", change(is("key", bson.D{is("ne", nil)})),
			func(g *gate) bool { return g.reason(agentKey(1)) == keys.Unknown },
		},
		{
			"key given to another agent", func(t *testing.T, database string) {
				mongotest.Update(t, database, mongofeed.Agents, byID(1), set(is("key", "")))
				mongotest.Update(t, database, mongofeed.Agents, byID(2), set(is("key", agentKey(1))))
			},
			func(g *gate) bool {
				d := g.verifier.Verify(agentKey(1), time.Now())
				return d.Allowed() && d.Key.ID == keyID(2)
			},
		},
		{"renamed", change(is("name", "New")), func(g *gate) bool { return g.store.Get(keyID(1)).Name == "New" }},
		{"unpublished", change(is("status", "draft")), func(g *gate) bool { return facts(g).Status == "draft" }},
		{
			"limited", change(is("limited_request_mode", "True"), is("request_limit", int32(3))),
			func(g *gate) bool { return facts(g).RequestsPerDay == 3 },
		},
		{"other owner", change(is("user", "ann")), func(g *gate) bool { return facts(g).Owner == "ann" }},
		{
			"given other sources", change(is("sources", bson.A{"one", "default"})),
			func(g *gate) bool { return len(facts(g).Sources) == 2 },
		},
		{
			"all deleted at once", func(t *testing.T, database string) { mongotest.Run(t, database, bson.D{is("drop", mongofeed.Agents)}) },
			func(g *gate) bool { return g.reason(agentKey(1)) == keys.Unknown && g.store.Len() == 0 },
		},
		{
			"the first agent after an upgrade from api_keys", func(t *testing.T, database string) {
				mongotest.Delete(t, database, mongofeed.Agents, bson.D{})
				mongotest.Insert(t, database, mongofeed.APIKeys, bson.D{is("_id", agentID(7)), is("key", "old")})
				mongotest.Insert(t, database, mongofeed.Agents, agent(3))
			},
			func(g *gate) bool { return g.reason(agentKey(3)) == keys.Allowed && g.reason("old") == keys.Unknown },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			mongotest.Insert(t, database, mongofeed.Agents, agent(1), agent(2))
			o := options(t, mongotest.URI(database))
			o.Poll = 0 // the default
			g := run(t, newFeed(t, o))
			eventually(t, "a watch", func() bool { return g.loaded() >= 2 })
			if c.seen(g) {
				t.Fatal("it is seen before it has happened")
			}
			c.change(t, database)
			begun := time.Now()
			eventually(t, "the change", func() bool { return c.seen(g) })
			t.Logf("seen after %s", time.Since(begun).Round(time.Millisecond))
		})
	}
}

// A conversation writes into its agent's record. That is no change of a key, and costs no load.
func TestConversationsAreNoChange(t *testing.T) {
	database := mongotest.Database(t)
	mongotest.Insert(t, database, mongofeed.Agents, agent(1), agent(2))
	f := newFeed(t, options(t, mongotest.URI(database)))
	g := run(t, f)
	eventually(t, "a watch", func() bool { return g.loaded() >= 2 })
	before := g.loaded()
	for n := range 10 {
		looked := f.Fresh()
		now := time.Unix(1_800_000_000+int64(n), 0)
		mongotest.Update(t, database, mongofeed.Agents, byID(1+n%2), set(is("lastUsedAt", now), is("updatedAt", now)))
		eventually(t, "a look after it", func() bool { return f.Fresh().After(looked) })
	}
	revision := g.store.Revision()
	mongotest.Insert(t, database, mongofeed.Agents, agent(3)) // what is noticed last
	g.until(agentKey(3), keys.Allowed)
	if got := g.loaded() - before; got != 1 {
		t.Errorf("%d loads for 10 conversations and a new agent, want 1", got)
	}
	if got := g.store.Revision() - revision; got != 1 {
		t.Errorf("%d changes of the store, want 1", got)
	}
}

// A feed that has followed many changes agrees with a fresh one in the end.
func TestManyChanges(t *testing.T) {
	const agents = 500
	database := mongotest.Database(t)
	fill(t, database, agents)
	o := options(t, mongotest.URI(database))
	g := run(t, newFeed(t, o))
	with := func(n int) bson.D { return bson.D{is("_id", oid(5, n))} }
	for n := 1; n <= 40; n++ {
		switch n % 4 {
		case 0:
			mongotest.Update(t, database, mongofeed.Agents, with(n), set(is("key", fmt.Sprintf("new-%d", n))))
		case 1:
			mongotest.Delete(t, database, mongofeed.Agents, with(n))
		case 2:
			mongotest.Update(t, database, mongofeed.Agents, with(n), set(is("key", fmt.Sprintf("key-%d", n+1)))) // the same twice
		default:
			mongotest.Update(t, database, mongofeed.Agents, with(n), set(is("name", "x")))
		}
	}
	mongotest.Insert(t, database, mongofeed.Agents, agent(1))
	g.until(agentKey(1), keys.Allowed)
	want := load(t, newFeed(t, o))
	if g.store.Len() != len(want) {
		t.Fatalf("%d keys, want %d", g.store.Len(), len(want))
	}
	for id, k := range want {
		got := g.store.Get(id)
		if got == nil || got.Digest != k.Digest || got.Name != k.Name {
			t.Errorf("key %s is not what the database says", id)
		}
	}
}
