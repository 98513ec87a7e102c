package pgstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
)

// After a failover to a server that lacks some transactions, the counts are those of that server, although it has used their revisions for
// others.
func TestCountsAfterFailover(t *testing.T) {
	database := pgtest.Database(t)
	seed := startCounting(t, options(database))
	for i := range 3 {
		seed.ask(fmt.Sprint("key ", i))
	}
	if err := seed.use.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := seed.saver.Close(); err != nil {
		t.Fatal(err)
	}
	standby := pgtest.Standby(t)
	promoted := strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), standby, 1)
	if err := pgtest.Try(t, promoted, "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	proxy := feedtest.NewProxy(t, pgtest.Host())
	both := strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), proxy.Addr()+","+standby, 1)
	g := startCounting(t, pgstore.Options{URI: keys.NewSecret(both)})
	g.run(t)
	g.ask("lost")
	eventually(t, "lost", 1, g)
	first := startCounting(t, options(database))
	first.run(t)
	eventually(t, "lost", 1, first) // so it is stored

	other := startCounting(t, pgstore.Options{URI: keys.NewSecret(promoted)})
	other.run(t)
	for range 5 {
		other.ask("key 1")
	}
	third := startCounting(t, pgstore.Options{URI: keys.NewSecret(promoted)})
	third.run(t)
	eventually(t, "key 1", 6, third)
	proxy.Refuse()
	g.ask("key 2")
	eventually(t, "key 1", 6, g)
	eventually(t, "key 2", 2, g, other)
}
