package pgfeed

import (
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
)

//go:embed testdata/docsgpt-0.17.sql
var benchSchema string

// sizes are numbers of agents.
var sizes = []int{100, 100_000}

// feedOf makes a database with so many agents, each of some 500 bytes, and a feed of it that has read them.
func feedOf(b *testing.B, agents int) (*Feed, string, *conn) {
	b.Helper()
	database := pgtest.Database(b)
	pgtest.Exec(b, database, benchSchema+fmt.Sprintf(`
		INSERT INTO agents (user_id, name, description, status, key, extra_source_ids, tools)
		SELECT 'user' || i %% 100, 'Agent ' || i, repeat('lorem ipsum ', 20), 'published', gen_random_uuid()::text,
		       ARRAY[gen_random_uuid()], '["0123456789"]'
		FROM generate_series(1, %d) i`, agents))
	pgtest.Exec(b, database, "VACUUM ANALYZE agents")
	f, err := New(Options{URI: keys.NewSecret(pgtest.URI("postgres", database)), Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	if set, err := f.Load(b.Context()); err != nil || len(set) != agents {
		b.Fatalf("%d keys, %v", len(set), err)
	}
	l, err := f.connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.close)
	return f, database, l
}

// BenchmarkLoad is a load of all agents, with the connection it makes.
func BenchmarkLoad(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, _, _ := feedOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Load(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLook is one look at the database: while nobody writes anything, while others write elsewhere, and after an agent
// was changed.
func BenchmarkLook(b *testing.B) {
	for _, n := range sizes {
		for _, c := range []struct{ name, sql string }{
			{"quiet", ""},
			{"others write", "SELECT txid_current()"},
			{"one changed", "UPDATE agents SET name = name || 'x' WHERE id = (SELECT id FROM agents LIMIT 1)"},
		} {
			b.Run(fmt.Sprint(n, "/", c.name), func(b *testing.B) {
				f, database, l := feedOf(b, n)
				for b.Loop() {
					if c.sql != "" {
						b.StopTimer()
						pgtest.Exec(b, database, c.sql)
						b.StartTimer()
					}
					if _, err := f.readChanged(b.Context(), l); err != nil {
						b.Fatal(err)
					}
					f.cache.Changes()
				}
			})
		}
	}
}
