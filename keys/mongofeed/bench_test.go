package mongofeed_test

import (
	"fmt"
	"testing"

	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

// BenchmarkLoad measures a load of all agents, including the connection, from a fake server that costs almost nothing, so the
// result is the cost of the gate.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFeed(b, options(b, many(b, n)))
			b.ReportAllocs()
			for b.Loop() {
				if set, err := f.Load(b.Context()); err != nil || len(set) != n {
					b.Fatalf("%d keys, %v", len(set), err)
				}
			}
		})
	}
}

// BenchmarkReadChanges measures one poll of a database in which nothing has changed.
func BenchmarkReadChanges(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			poll, end := mongofeed.Poller(b.Context(), b, newFeed(b, options(b, many(b, n))))
			defer end()
			b.ReportAllocs()
			for b.Loop() {
				poll()
			}
		})
	}
}

// BenchmarkServer measures the same poll of the real server of the tests, which is much slower than MongoDB.
func BenchmarkServer(b *testing.B) {
	database := mongotest.Database(b)
	fill(b, database, 1000)
	poll, end := mongofeed.Poller(b.Context(), b, newFeed(b, options(b, mongotest.URI(database))))
	defer end()
	for b.Loop() {
		poll()
	}
}

// many starts a fake server with n agents and returns its address.
func many(b *testing.B, n int) string {
	b.Helper()
	r := newReplica(b)
	r.set(func(r *replica) {
		r.frozen = map[string][]byte{}
		for i := 1; i <= n; i++ {
			r.records[mongofeed.Agents] = append(r.records[mongofeed.Agents], agent(i, is("source", dbRef(oid(3, i)))))
		}
	})
	return r.uri()
}
