package mongofeed_test

import (
	"cmp"
	"fmt"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

func TestMain(m *testing.M) { os.Exit(mongotest.Main(m)) }

// oid returns the n-th ID of a kind.
func oid(kind, n int) bson.ObjectID {
	id, err := bson.ObjectIDFromHex(fmt.Sprintf("%012x%012x", kind, n))
	if err != nil {
		panic(err)
	}
	return id
}

// agentID and agentKey return the ID and the key of the n-th agent of a test.
func agentID(n int) bson.ObjectID { return oid(1, n) }
func keyID(n int) string          { return "agent_" + agentID(n).Hex() }
func agentKey(n int) string       { return fmt.Sprintf("00abcdef-0000-4000-8000-%012x", n) }

// dbRef returns a reference like DocsGPT's driver writes it. The real server of the tests does not support it.
func dbRef(id any) bson.D { return bson.D{{Key: "$ref", Value: "sources"}, {Key: "$id", Value: id}} }

// agent returns the n-th agent as DocsGPT 0.16 writes it. own replaces fields.
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

// fill adds many agents to a database, with the keys "key-1", "key-2" and so on.
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

// options returns the options of a feed for tests, with a short poll interval and with warnings in the test's log.
func options(t testing.TB, uri string) mongofeed.Options {
	return mongofeed.Options{Options: dbfeed.Options{
		URI: keys.NewSecret(uri), PollInterval: 20 * time.Millisecond, Timeout: feedtest.Timeout,
		OnWarning: func(text string) { t.Logf("warning: %s", text) },
	}}
}

func newFeed(t testing.TB, o mongofeed.Options) *mongofeed.Feed {
	t.Helper()
	f, err := mongofeed.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return f
}

// database implements feedtest.Database.
type database struct {
	t    testing.TB
	name string
}

func newDatabase(t testing.TB) database { return database{t, mongotest.Database(t)} }

func (d database) Host() string       { return mongotest.Host() }
func (d database) Add(n int)          { mongotest.Insert(d.t, d.name, mongofeed.Agents, agent(n)) }
func (d database) Remove(n int)       { mongotest.Delete(d.t, d.name, mongofeed.Agents, byID(n)) }
func (d database) Token(n int) string { return agentKey(n) }
func (d database) KeyID(n int) string { return keyID(n) }

func (d database) Feed(p *feedtest.Proxy, o feedtest.Options) keys.RemoteFeed {
	own := options(d.t, through(p, d.name))
	own.SnapshotPath, own.MaxStale = o.SnapshotPath, o.MaxStale
	own.PollInterval, own.Timeout = cmp.Or(o.PollInterval, own.PollInterval), cmp.Or(o.Timeout, own.Timeout)
	return newFeed(d.t, own)
}

// through returns the address of a database behind a proxy.
func through(p *feedtest.Proxy, database string) string {
	return "mongodb://" + p.Addr() + "/" + database
}
