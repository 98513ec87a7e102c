package doctorcmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A limit of tokens, of the site or of a key, needs a permission to be exact.
func TestTokenUsage(t *testing.T) {
	const note, limit = "note feeds.token_usage", "limits: {tokens_per_day: 1000000}"
	siteLimit := func(e *env) {
		e.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai\nlimits {\ntokens_per_day 1000000\n}\n}"
	}
	for name, c := range map[string]struct {
		granted bool
		setUp   func(*env)
		want    string // finding, if there is one
	}{
		"no limit":                     {false, func(*env) {}, ""},
		"limit of the site":            {false, siteLimit, note},
		"limit of a key":               {false, func(e *env) { e.keyFile(0, limit, "") }, note},
		"limit of a key, not running":  {false, func(e *env) { e.keyFile(0, limit, ""); e.idle = true }, note},
		"limit, and the permission":    {true, siteLimit, "ok feeds.token_usage"},
		"no limit, and the permission": {true, func(*env) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			database := pgtest.Database(t)
			role := "doctor_" + database
			var sql strings.Builder
			for _, file := range []string{"docsgpt-0.17.sql", "docsgpt-1.1.sql"} {
				schema, err := os.ReadFile(filepath.Join("..", "..", "..", "keys", "pgfeed", "testdata", file))
				if err != nil {
					t.Fatal(err)
				}
				sql.Write(schema)
			}
			sql.WriteString("CREATE ROLE " + role + " LOGIN;" + pgfeed.GrantSQL(role))
			if !c.granted {
				sql.WriteString("REVOKE ALL ON token_usage FROM " + role)
			}
			pgtest.Exec(t, database, sql.String())
			t.Setenv("DOCTOR_POSTGRES", pgtest.URI(role, database))
			e.options += "\nfeed docsgpt {env.DOCTOR_POSTGRES}"
			c.setUp(e)
			e.start()
			findings, _ := e.examine()
			var got []string
			for _, f := range findings {
				if f.ID == "feeds.token_usage" {
					got = append(got, string(f.Severity)+" "+f.ID)
				}
			}
			if want := strings.Fields(c.want); len(want) == 0 && len(got) > 0 || len(want) > 0 && !slices.Equal(got, []string{c.want}) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
