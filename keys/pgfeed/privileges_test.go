package pgfeed_test

import (
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

func TestPrivileges(t *testing.T) {
	database := pgtest.Database(t)
	pgtest.Exec(t, database, schema017)
	for name, c := range map[string]struct {
		sql  string // with the role "r_" + database
		want docsgptkeys.Privileges
	}{
		"granted":    {pgfeed.GrantSQL("r_" + database), docsgptkeys.Privileges{}},
		"one column": {"GRANT UPDATE (name) ON agents TO r_" + database, docsgptkeys.Privileges{Writes: true}},
		"deletes":    {"GRANT DELETE ON agents TO r_" + database, docsgptkeys.Privileges{Writes: true}},
		"owner":      {"ALTER TABLE agents OWNER TO r_" + database, docsgptkeys.Privileges{Writes: true}},
		"superuser":  {"ALTER ROLE r_" + database + " SUPERUSER", docsgptkeys.Privileges{Superuser: true, Writes: true}},
		"member":     {"GRANT postgres TO r_" + database, docsgptkeys.Privileges{Superuser: true, Writes: true}},
		"no table":   {"ALTER TABLE agents RENAME TO gone", docsgptkeys.Privileges{}},
	} {
		t.Run(name, func(t *testing.T) {
			role := "r_" + database
			pgtest.Exec(t, database, "CREATE ROLE "+role+" LOGIN")
			t.Cleanup(func() {
				pgtest.Exec(t, database, "ALTER TABLE IF EXISTS gone RENAME TO agents; ALTER TABLE agents OWNER TO postgres; DROP OWNED BY "+role+"; DROP ROLE "+role)
			})
			pgtest.Exec(t, database, c.sql)
			c.want.User = role
			feed := newFeed(t, options(t, pgtest.URI(role, database)))
			if got, err := feed.Privileges(t.Context()); err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
	if _, err := newFeed(t, options(t, "postgres://nobody@127.0.0.1:1/"+database)).Privileges(t.Context()); err == nil {
		t.Error("no error without a database")
	}
}
