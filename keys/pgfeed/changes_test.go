package pgfeed_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// modes are the two ways in which a feed detects changes.
var modes = []struct{ name, setUp string }{{"poll", ""}, {"trigger", pgfeed.TriggerSQL()}}

// in returns the options for a mode. With the trigger, the poll interval is so long that only a notification can be the reason for
// a poll.
func in(t testing.TB, mode, uri string) dbfeed.Options {
	o := options(t, uri)
	if mode == "trigger" {
		o.PollInterval = time.Hour
	} else {
		o.PollInterval = 0 // the default
	}
	return o
}

// Each kind of change of an agent changes its key, and no other one.
func TestChangesDetected(t *testing.T) {
	source := uuid(2, 1)
	facts := func(g *feedtest.Harness) keys.AgentInfo { return *g.Store.Get("agent_" + agentID(1)).Facts }
	for _, mode := range modes {
		for _, c := range []struct {
			name, sql string
			seen      func(g *feedtest.Harness) bool
		}{
			{"inserted", insert(3), func(g *feedtest.Harness) bool { return g.Reason(agentKey(3)) == keys.Allowed }},
			{
				"deleted", "DELETE FROM agents WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool { return g.Reason(agentKey(1)) == keys.UnknownToken },
			},
			{
				"rotated", "UPDATE agents SET key = 'rotated' WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool {
					return g.Reason("rotated") == keys.Allowed && g.Reason(agentKey(1)) == keys.UnknownToken
				},
			},
			{
				"respelt", "UPDATE agents SET key = upper(key::text) WHERE id = '" + agentID(1) + "'", func(g *feedtest.Harness) bool {
					return g.Reason(strings.ToUpper(agentKey(1))) == keys.Allowed && g.Reason(agentKey(1)) == keys.UnknownToken
				},
			},
			{
				"key taken away", "UPDATE agents SET key = NULL WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool { return g.Reason(agentKey(1)) == keys.UnknownToken },
			},
			{
				"key given to another agent", "UPDATE agents SET key = NULL WHERE id = '" + agentID(1) + "'; UPDATE agents SET key = '" +
					agentKey(1) + "' WHERE id = '" + agentID(2) + "'",
				func(g *feedtest.Harness) bool {
					d := g.Verifier.Verify(agentKey(1), time.Now())
					return d.Allowed() && d.Key.ID == "agent_"+agentID(2)
				},
			},
			{
				"renamed", "UPDATE agents SET name = 'New' WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool { return g.Store.Get("agent_"+agentID(1)).Name == "New" },
			},
			{
				"unpublished", "UPDATE agents SET status = 'draft' WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool { return facts(g).Status == "draft" },
			},
			{
				"limited", "UPDATE agents SET limited_request_mode = true, request_limit = 3 WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool { return facts(g).RequestsPerDay == 3 },
			},
			{
				"other owner", "UPDATE agents SET user_id = 'ann' WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool { return facts(g).Owner == "ann" },
			},
			{
				"tied to origins", `UPDATE agents SET config = '{"restrict_origins": true, "allowed_origins": []}' WHERE id = '` +
					agentID(1) + "'",
				func(g *feedtest.Harness) bool { return facts(g).RestrictOrigins },
			},
			{
				"given a source", "UPDATE agents SET extra_source_ids = '{" + uuid(9, 9) + "}' WHERE id = '" + agentID(1) + "'",
				func(g *feedtest.Harness) bool { return len(facts(g).Sources) == 2 },
			},
			{
				"source deleted", "DELETE FROM sources WHERE id = '" + source + "'",
				func(g *feedtest.Harness) bool { return len(facts(g).Sources) == 0 },
			},
			{
				"all deleted at once", "TRUNCATE agents",
				func(g *feedtest.Harness) bool {
					return g.Reason(agentKey(1)) == keys.UnknownToken && g.Store.Len() == 0
				},
			},
		} {
			t.Run(mode.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				database := docsgpt(t)
				pgtest.Exec(t, database, mode.setUp+insert(1)+insert(2)+
					"INSERT INTO sources (id, user_id, name) VALUES ('"+source+"', 'local', 's'); UPDATE agents SET source_id = '"+
					source+"' WHERE id = '"+agentID(1)+"'")
				g := feedtest.Run(t, newFeed(t, in(t, mode.name, pgtest.URI("postgres", database))))
				g.WaitWatched()
				if c.seen(g) {
					t.Fatal("the change is already there")
				}
				pgtest.Exec(t, database, c.sql)
				begun := time.Now()
				feedtest.Eventually(t, "the change", func() bool { return c.seen(g) })
				t.Logf("detected after %s", time.Since(begun).Round(time.Millisecond))
			})
		}
	}
}

// A conversation writes to its agent's row. That does not change a key, and does not cause a load.
func TestConversationsIgnored(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			pgtest.Exec(t, d.name, mode.setUp)
			o := in(t, mode.name, pgtest.URI("postgres", d.name))
			polls := mode.name == "poll"
			if polls {
				o.PollInterval = 20 * time.Millisecond
			}
			feedtest.TestIgnoresUnrelatedWrites(t, d, newFeed(t, o), polls, func(agent, _ int) {
				pgtest.Exec(t, d.name, "UPDATE agents SET last_used_at = now() WHERE id = '"+agentID(agent)+"'")
			})
		})
	}
}

// A change among many agents is applied to the store as a delta, and at the end the keys are the same as those of a new feed.
func TestManyChanges(t *testing.T) {
	const agents = 3000
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			database := docsgpt(t)
			pgtest.Exec(t, database, mode.setUp+fmt.Sprintf(`INSERT INTO agents (user_id, name, status, key)
				SELECT 'local', 'Agent ' || i, 'published', 'key-' || i FROM generate_series(1, %d) i`, agents))
			uri := pgtest.URI("postgres", database)
			o := in(t, mode.name, uri)
			o.Filter.IDs = nil
			g := feedtest.Run(t, newFeed(t, o))
			for n := 1; n <= 40; n++ {
				pgtest.Exec(t, database, []string{
					fmt.Sprintf("UPDATE agents SET key = 'new-%d' WHERE key = 'key-%d'", n, n),
					fmt.Sprintf("DELETE FROM agents WHERE key = 'key-%d'", n),
					fmt.Sprintf("UPDATE agents SET name = 'x' WHERE key::text LIKE 'key-%%%d'; DELETE FROM agents WHERE key = 'key-%d'", n, n),
					fmt.Sprintf("BEGIN; DELETE FROM agents WHERE key = 'key-%d'; ROLLBACK; DELETE FROM agents WHERE key = 'key-%d'", n+1, n),
				}[n%4])
			}
			pgtest.Exec(t, database, insert(1))
			g.WaitFor(agentKey(1), keys.Allowed)
			g.AssertInSync(newFeed(t, options(t, uri)))
		})
	}
}

// The feed polls if the trigger does not cover every column, is disabled or calls another function.
func TestTriggerVerified(t *testing.T) {
	for name, spoil := range map[string]string{
		"missing":            "DROP TRIGGER docsgate_changed ON agents;",
		"switched off":       "ALTER TABLE agents DISABLE TRIGGER docsgate_changed;",
		"another function":   "CREATE OR REPLACE FUNCTION docsgate_changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';",
		"of an older schema": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Database(t)
			if spoil == "" {
				pgtest.Exec(t, database, schema017+pgfeed.TriggerSQL()+added11)
			} else {
				pgtest.Exec(t, database, schema017+added11+pgfeed.TriggerSQL()+pgfeed.TriggerSQL()+spoil)
			}
			pgtest.Exec(t, database, insert(1))
			g := feedtest.Run(t, newFeed(t, options(t, pgtest.URI("postgres", database))))
			g.WaitFor(agentKey(1), keys.Allowed)
			g.WaitWatched()
			pgtest.Exec(t, database, "UPDATE agents SET config = '{\"restrict_origins\": true}'")
			feedtest.Eventually(t, "the change", func() bool { return g.Store.Get("agent_" + agentID(1)).Facts.RestrictOrigins })
		})
	}
}

// While a transaction of DocsGPT is open, the statements of TriggerSQL time out soon and change nothing. Otherwise DocsGPT's own
// statements would queue behind them.
func TestTriggerSQLLockTimeout(t *testing.T) {
	for name, sql := range map[string]string{
		"the first time": "",
		"a second time":  pgfeed.TriggerSQL(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := docsgpt(t)
			pgtest.Exec(t, database, insert(1)+sql)
			end := begin(t, database, "UPDATE agents SET last_used_at = now()")
			if err := pgtest.Try(t, pgtest.URI("postgres", database), pgfeed.TriggerSQL()); err == nil || !strings.Contains(err.Error(), "55P03") {
				t.Errorf("beside an open transaction: %v", err)
			}
			end()
			pgtest.Exec(t, database, pgfeed.TriggerSQL())
		})
	}
}

// Notifications have no content.
func TestNotificationEmpty(t *testing.T) {
	if sql := pgfeed.TriggerSQL(); strings.Count(sql, "pg_notify(") != 1 || !strings.Contains(sql, "pg_notify('docsgate', '')") {
		t.Error("the trigger does not send an empty notification on its channel:\n" + sql)
	}
}
