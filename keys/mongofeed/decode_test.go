package mongofeed

import (
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// Each document of a server can be decoded without a crash, and a store accepts the keys.
func FuzzDecode(f *testing.F) {
	for _, d := range []bson.D{
		{},
		{{Key: "_id", Value: bson.NewObjectID()}, {Key: "key", Value: "k"}, {Key: "sources", Value: bson.A{bson.D{{Key: "$id", Value: "s"}}}}},
		{{Key: "_id", Value: "a"}, {Key: "key", Value: bson.D{{Key: "$ne", Value: nil}}}, {Key: "source", Value: bson.D{}}},
		{{Key: "operationType", Value: "update"}, {Key: "updateDescription", Value: bson.D{
			{Key: "updatedFields", Value: bson.D{{Key: "key", Value: 1}}},
			{Key: "removedFields", Value: bson.A{"x"}},
			{Key: "truncatedArrays", Value: bson.A{bson.D{{Key: "field", Value: "sources"}}}},
		}}},
		{{Key: "_id", Value: 1}, {Key: "key", Value: "k"}, {Key: "limited_request_mode", Value: true}, {Key: "request_limit", Value: 1e300}},
	} {
		raw, err := bson.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		isKeyChange(data)
		if _, err := idOf(nil, Agents, data); err != nil {
			return
		}
		d := decode(data)
		shown := d.agent.AsSkipped("").ID
		if again := (&docsgptkeys.Agent{ID: shown}).AsSkipped("").ID; shown != again {
			t.Error("the displayed ID is not stable")
		}
		cache := docsgptkeys.NewAgentCache(docsgptkeys.AgentCacheOptions{Filter: docsgptkeys.Filter{IncludeShared: true}})
		set := cache.Load([]docsgptkeys.Agent{d.agent}, time.Now())
		if _, err := keys.NewStore().Replace("f", set); err != nil {
			t.Fatalf("a store rejects the key: %v", err)
		}
		if d.agent.RequestsPerDay < 0 || d.agent.TokensPerDay < 0 {
			t.Error("negative limit")
		}
	})
}
