package pgtest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// Each test has its own database, on a server with the features that DocsGPT needs.
func TestDatabase(t *testing.T) {
	first, second := pgtest.Database(t), pgtest.Database(t)
	pgtest.Exec(t, first, "CREATE EXTENSION citext; CREATE TABLE t (k citext UNIQUE); INSERT INTO t VALUES ('a')")
	if err := pgtest.Try(t, pgtest.URI("postgres", first), "INSERT INTO t VALUES ('A')"); err == nil || !strings.Contains(err.Error(), "23505") {
		t.Errorf("a second key in another case: %v", err)
	}
	if err := pgtest.Try(t, pgtest.URI("postgres", second), "SELECT FROM t"); err == nil || !strings.Contains(err.Error(), "42P01") {
		t.Errorf("the table of another test: %v", err)
	}
}
