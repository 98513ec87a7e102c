package mongofeed_test

import (
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

// Each kind of change of an agent changes its key, and no other one.
func TestChangesDetected(t *testing.T) {
	facts := func(g *feedtest.Harness) keys.AgentInfo { return *g.Store.Get(keyID(1)).Facts }
	change := func(fields ...bson.E) func(*testing.T, string) {
		return func(t *testing.T, database string) {
			mongotest.Update(t, database, mongofeed.Agents, byID(1), set(fields...))
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, database string)
		seen   func(g *feedtest.Harness) bool
	}{
		{
			"inserted", func(t *testing.T, database string) { mongotest.Insert(t, database, mongofeed.Agents, agent(3)) },
			func(g *feedtest.Harness) bool { return g.Reason(agentKey(3)) == keys.Allowed },
		},
		{
			"deleted", func(t *testing.T, database string) { mongotest.Delete(t, database, mongofeed.Agents, byID(1)) },
			func(g *feedtest.Harness) bool { return g.Reason(agentKey(1)) == keys.UnknownToken },
		},
		{
			"rotated", change(is("key", "rotated")),
			func(g *feedtest.Harness) bool {
				return g.Reason("rotated") == keys.Allowed && g.Reason(agentKey(1)) == keys.UnknownToken
			},
		},
		{"key taken away", change(is("key", "")), func(g *feedtest.Harness) bool { return g.Reason(agentKey(1)) == keys.UnknownToken }},
		{
			"key made an object", change(is("key", bson.D{is("ne", nil)})),
			func(g *feedtest.Harness) bool { return g.Reason(agentKey(1)) == keys.UnknownToken },
		},
		{
			"key given to another agent", func(t *testing.T, database string) {
				mongotest.Update(t, database, mongofeed.Agents, byID(1), set(is("key", "")))
				mongotest.Update(t, database, mongofeed.Agents, byID(2), set(is("key", agentKey(1))))
			},
			func(g *feedtest.Harness) bool {
				d := g.Verifier.Verify(agentKey(1), time.Now())
				return d.Allowed() && d.Key.ID == keyID(2)
			},
		},
		{"renamed", change(is("name", "New")), func(g *feedtest.Harness) bool { return g.Store.Get(keyID(1)).Name == "New" }},
		{"unpublished", change(is("status", "draft")), func(g *feedtest.Harness) bool { return facts(g).Status == "draft" }},
		{
			"limited", change(is("limited_request_mode", "True"), is("request_limit", int32(3))),
			func(g *feedtest.Harness) bool { return facts(g).RequestsPerDay == 3 },
		},
		{"other owner", change(is("user", "ann")), func(g *feedtest.Harness) bool { return facts(g).Owner == "ann" }},
		{
			"given other sources", change(is("sources", bson.A{"one", "default"})),
			func(g *feedtest.Harness) bool { return len(facts(g).Sources) == 2 },
		},
		{
			"all deleted at once", func(t *testing.T, database string) { mongotest.Run(t, database, bson.D{is("drop", mongofeed.Agents)}) },
			func(g *feedtest.Harness) bool {
				return g.Reason(agentKey(1)) == keys.UnknownToken && g.Store.Len() == 0
			},
		},
		{
			"the first agent after an upgrade from api_keys", func(t *testing.T, database string) {
				mongotest.Delete(t, database, mongofeed.Agents, bson.D{})
				mongotest.Insert(t, database, mongofeed.APIKeys, bson.D{is("_id", agentID(7)), is("key", "old")})
				mongotest.Insert(t, database, mongofeed.Agents, agent(3))
			},
			func(g *feedtest.Harness) bool {
				return g.Reason(agentKey(3)) == keys.Allowed && g.Reason("old") == keys.UnknownToken
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			mongotest.Insert(t, database, mongofeed.Agents, agent(1), agent(2))
			o := options(t, mongotest.URI(database))
			o.PollInterval = 0 // the default
			g := feedtest.Run(t, newFeed(t, o))
			g.WaitWatched()
			if c.seen(g) {
				t.Fatal("the change is already there")
			}
			c.change(t, database)
			begun := time.Now()
			feedtest.Eventually(t, "the change", func() bool { return c.seen(g) })
			t.Logf("detected after %s", time.Since(begun).Round(time.Millisecond))
		})
	}
}

// A conversation writes to its agent's record. That does not change a key, and does not cause a load.
func TestConversationsIgnored(t *testing.T) {
	d := newDatabase(t)
	f := newFeed(t, options(t, mongotest.URI(d.name)))
	feedtest.TestIgnoresUnrelatedWrites(t, d, f, true, func(agent, n int) {
		now := time.Unix(1_800_000_000+int64(n), 0)
		mongotest.Update(t, d.name, mongofeed.Agents, byID(agent), set(is("lastUsedAt", now), is("updatedAt", now)))
	})
}

// After many changes the keys are the same as those of a new feed.
func TestManyChanges(t *testing.T) {
	const agents = 500
	database := mongotest.Database(t)
	fill(t, database, agents)
	o := options(t, mongotest.URI(database))
	g := feedtest.Run(t, newFeed(t, o))
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
	g.WaitFor(agentKey(1), keys.Allowed)
	g.AssertInSync(newFeed(t, o))
}
