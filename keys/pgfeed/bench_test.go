package pgfeed

import (
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

//go:embed testdata/docsgpt-0.17.sql
var benchSchema string

// sizes are numbers of agents.
var sizes = []int{100, 100_000}

// newBenchFeed creates a database with a number of agents of about 500 bytes, and a feed that has loaded them. c is a connection of the
// feed, and cache contains the agents that were read with it.
func newBenchFeed(b *testing.B, agents int) (f *Feed, database string, c *conn, cache *docsgptkeys.AgentCache) {
	b.Helper()
	database = pgtest.Database(b)
	pgtest.Exec(b, database, benchSchema+fmt.Sprintf(`
		INSERT INTO agents (user_id, name, description, status, key, extra_source_ids, tools)
		SELECT 'user' || i %% 100, 'Agent ' || i, repeat('lorem ipsum ', 20), 'published', gen_random_uuid()::text,
		       ARRAY[gen_random_uuid()], '["0123456789"]'
		FROM generate_series(1, %d) i`, agents))
	pgtest.Exec(b, database, "VACUUM ANALYZE agents")
	f, err := New(dbfeed.Options{URI: keys.NewSecret(pgtest.URI("postgres", database)), Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	if set, err := f.Load(b.Context()); err != nil || len(set) != agents {
		b.Fatalf("%d keys, %v", len(set), err)
	}
	if c, err = f.connect(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	all, at, err := c.ReadAll(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	cache = docsgptkeys.NewAgentCache(docsgptkeys.AgentCacheOptions{Feed: f.Name()})
	cache.Load(all, at)
	return f, database, c, cache
}

// BenchmarkLoad measures a load of all agents, including the connection.
func BenchmarkLoad(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, _, _, _ := newBenchFeed(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Load(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadChanges measures one poll of the database: without writes, with writes to other tables, and after an agent has
// changed.
func BenchmarkReadChanges(b *testing.B) {
	for _, n := range sizes {
		for _, c := range []struct{ name, sql string }{
			{"no writes", ""},
			{"other writes", "SELECT txid_current()"},
			{"one changed agent", "UPDATE agents SET name = name || 'x' WHERE id = (SELECT id FROM agents LIMIT 1)"},
		} {
			b.Run(fmt.Sprint(n, "/", c.name), func(b *testing.B) {
				f, database, l, cache := newBenchFeed(b, n)
				for b.Loop() {
					if c.sql != "" {
						b.StopTimer()
						pgtest.Exec(b, database, c.sql)
						b.StartTimer()
					}
					if _, err := f.readChanged(b.Context(), l, cache); err != nil {
						b.Fatal(err)
					}
					cache.Changes()
				}
			})
		}
	}
}
