package pgfeed_test

import (
	"cmp"
	_ "embed"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

//go:embed testdata/docsgpt-0.17.sql
var schema017 string

//go:embed testdata/docsgpt-1.1.sql
var added11 string

// docsgpt creates a database with the schema of DocsGPT 1.1.
func docsgpt(t testing.TB) (database string) {
	t.Helper()
	database = pgtest.Database(t)
	pgtest.Exec(t, database, schema017+added11)
	return database
}

// uuid returns the n-th ID of a kind.
func uuid(kind, n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, n) }

// agentID and agentKey return the ID and the key of the n-th agent of a test.
func agentID(n int) string  { return uuid(1, n) }
func agentKey(n int) string { return uuid(0xabcdef, n) }

// insert returns the statement that adds the n-th agent.
func insert(n int) string {
	return fmt.Sprintf("INSERT INTO agents (id, user_id, name, status, key) VALUES ('%s', 'local', 'Agent %d', 'published', '%s');",
		agentID(n), n, agentKey(n))
}

// options returns the options of a feed for tests, with a short poll interval and with warnings in the test's log.
func options(t testing.TB, uri string) dbfeed.Options {
	return dbfeed.Options{
		URI: keys.NewSecret(uri), PollInterval: 20 * time.Millisecond, Timeout: feedtest.Timeout,
		OnWarning: func(text string) { t.Logf("warning: %s", text) },
	}
}

func newFeed(t testing.TB, o dbfeed.Options) *pgfeed.Feed {
	t.Helper()
	f, err := pgfeed.New(o)
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

func newDatabase(t testing.TB) database { return database{t, docsgpt(t)} }

func (d database) Host() string { return pgtest.Host() }
func (d database) Add(n int)    { pgtest.Exec(d.t, d.name, insert(n)) }
func (d database) Remove(n int) {
	pgtest.Exec(d.t, d.name, "DELETE FROM agents WHERE id = '"+agentID(n)+"'")
}
func (d database) Token(n int) string { return agentKey(n) }
func (d database) KeyID(n int) string { return "agent_" + agentID(n) }

func (d database) Feed(p *feedtest.Proxy, o feedtest.Options) keys.RemoteFeed {
	own := options(d.t, through(p, d.name))
	own.SnapshotPath, own.MaxStale = o.SnapshotPath, o.MaxStale
	own.PollInterval, own.Timeout = cmp.Or(o.PollInterval, own.PollInterval), cmp.Or(o.Timeout, own.Timeout)
	return newFeed(d.t, own)
}

// through returns the address of a database behind a proxy.
func through(p *feedtest.Proxy, database string) string {
	return "postgres://postgres:" + password + "@" + p.Addr() + "/" + database + "?sslmode=disable"
}
