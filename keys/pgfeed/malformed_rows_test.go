package pgfeed_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// Unusual values of one agent, or a column of another type, do not affect the keys of other agents.
func TestUnusualRows(t *testing.T) {
	const where = " WHERE id = '%[1]s';"
	source := uuid(2, 2)
	for _, c := range []struct {
		name, sql string
		seen      func(odd keys.Key) bool // nil: the agent has no key that can be presented
	}{
		{
			"a source that is NULL", "UPDATE agents SET extra_source_ids = ARRAY[NULL, '" + source + "', NULL]::uuid[]" + where,
			func(odd keys.Key) bool { return slices.Equal(odd.Facts.Sources, []string{source}) },
		},
		{
			"sources in a table", "UPDATE agents SET extra_source_ids = ARRAY[ARRAY['" + source + "', NULL]]::uuid[]" + where,
			func(odd keys.Key) bool { return slices.Equal(odd.Facts.Sources, []string{source}) },
		},
		{
			"many sources", "UPDATE agents SET extra_source_ids = (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 20000))" + where,
			func(odd keys.Key) bool { return len(odd.Facts.Sources) == 20000 },
		},
		{
			"limits below zero", "UPDATE agents SET limited_request_mode = true, request_limit = -1" + where,
			func(odd keys.Key) bool { return odd.Facts.RequestsPerDay == -1 },
		},
		{
			"limits of another type", "ALTER TABLE agents ALTER request_limit TYPE bigint; UPDATE agents SET limited_request_mode = true, " +
				"request_limit = 5000000000" + where,
			func(odd keys.Key) bool { return odd.Facts.RequestsPerDay == 5000000000 },
		},
		{
			"an unknown status", "UPDATE agents SET status = 'on holiday'" + where,
			func(odd keys.Key) bool { return odd.Facts.Status == "on holiday" },
		},
		{
			"a status of another type", "CREATE TYPE state AS ENUM ('published', 'draft'); ALTER TABLE agents ALTER status TYPE state USING " +
				"status::state; UPDATE agents SET status = 'draft'" + where,
			func(odd keys.Key) bool { return odd.Facts.Status == "draft" },
		},
		{
			"a name with control characters", `UPDATE agents SET name = E'a\x1b[31m\n\u202eb'` + where,
			func(odd keys.Key) bool { return odd.Name == "a [31m b" },
		},
		{
			"nothing but a key", "ALTER TABLE agents ALTER name DROP NOT NULL, ALTER user_id DROP NOT NULL, ALTER status DROP NOT NULL, ALTER " +
				"extra_source_ids DROP NOT NULL; UPDATE agents SET name = NULL, user_id = NULL, status = NULL, extra_source_ids = NULL" + where,
			func(odd keys.Key) bool { return odd.Name == agentID(2) && odd.Facts.Status == "" },
		},
		{"a key with a line break", `UPDATE agents SET key = E'a\nb'` + where, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := docsgpt(t)
			pgtest.Exec(t, database, insert(1)+insert(2)+fmt.Sprintf(c.sql, agentID(2)))
			set := feedtest.Load(t, newFeed(t, options(t, pgtest.URI("postgres", database))))
			if _, ok := set["agent_"+agentID(1)]; !ok {
				t.Error("the other agent has no key")
			}
			odd, ok := set["agent_"+agentID(2)]
			if ok != (c.seen != nil) || ok && !c.seen(odd) {
				t.Errorf("key: %+v, facts: %+v", odd, odd.Facts)
			}
		})
	}
}

// An upgrade of DocsGPT, or of the permissions of the role, changes no row. The new column takes effect immediately anyway. A
// warning names a missing permission.
func TestSchemaUpgrade(t *testing.T) {
	database := pgtest.Database(t)
	role := "upgraded_" + database
	pgtest.Exec(t, database, schema017+insert(1)+"CREATE ROLE "+role+" LOGIN;"+pgfeed.GrantSQL(role))
	notes := make(chan string, 10)
	o := options(t, pgtest.URI(role, database))
	o.OnWarning = func(text string) { notes <- text }
	g := feedtest.Run(t, newFeed(t, o))
	g.WaitWatched()
	pgtest.Exec(t, database, strings.ReplaceAll(added11, "config jsonb NOT NULL DEFAULT '{}'",
		`config jsonb NOT NULL DEFAULT '{"restrict_origins": true}'`)+insert(2))
	g.WaitFor(agentKey(2), keys.Allowed)
	if len(notes) > 0 || g.Store.Get("agent_"+agentID(1)).Facts.RestrictOrigins {
		t.Fatalf("before the role may read the column: %d warnings, %+v", len(notes), g.Store.Get("agent_"+agentID(1)).Facts)
	}
	feedtest.Load(t, newFeed(t, o))
	select {
	case note := <-notes:
		if !strings.Contains(note, "may not read the column config") || !strings.Contains(note, "--print-grants") {
			t.Errorf("the warning about the missing permission: %s", note)
		}
	default:
		t.Error("no warning about the missing permission")
	}
	pgtest.Exec(t, database, pgfeed.GrantSQL(role))
	feedtest.Eventually(t, "the column", func() bool { return g.Store.Get("agent_" + agentID(1)).Facts.RestrictOrigins })
	if len(notes) > 0 {
		t.Errorf("another warning: %s", <-notes)
	}
}
