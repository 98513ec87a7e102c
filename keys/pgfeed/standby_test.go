package pgfeed_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
)

// begin runs statements in a transaction that stays open. commit commits it.
func begin(t *testing.T, database, sql string) (commit func()) {
	t.Helper()
	run := func(c *pgx.Conn, sql string) {
		t.Helper()
		if _, err := c.Exec(context.Background(), sql); err != nil {
			t.Fatalf("running SQL for a test: %v", err)
		}
	}
	c, err := pgx.Connect(t.Context(), pgtest.URI("postgres", database))
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	run(c, "BEGIN;"+sql)
	return func() { t.Helper(); run(c, "COMMIT") }
}

// A standby server does not know which transactions of its primary have ended. So a change takes effect as soon as it is read, even
// while an older transaction is in progress.
func TestStandby(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, "CREATE TABLE other (n int);"+insert(1))
	standby := pgtest.Standby(t)
	g := feedtest.Run(t, newFeed(t, options(t, strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), standby, 1))))
	end := begin(t, database, "INSERT INTO other VALUES (1)")
	rotate := begin(t, database, "UPDATE agents SET key = 'rotated' WHERE id = '"+agentID(1)+"'")
	pgtest.Exec(t, database, insert(3))
	g.WaitFor(agentKey(3), keys.Allowed)
	rotate()
	g.WaitFor("rotated", keys.Allowed)
	g.WaitFor(agentKey(1), keys.UnknownToken, keys.Allowed)
	end()
}
