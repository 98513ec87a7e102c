package pgfeed_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// The tables of all versions are read. Columns that a version lacks are unknown.
func TestLoadAllVersions(t *testing.T) {
	source, extra := uuid(2, 1), uuid(2, 2)
	rows := fmt.Sprintf(`
		INSERT INTO sources (id, user_id, name) VALUES ('%[1]s', 'ann', 'one'), ('%[2]s', 'ann', 'two');
		INSERT INTO agents (id, user_id, name, status, key, source_id, extra_source_ids, limited_request_mode, request_limit,
		                    limited_token_mode, token_limit)
		VALUES ('%[3]s', 'ann', 'Docs', 'published', 'Key-A', '%[1]s', '{%[2]s,%[1]s}', true, 7, true, NULL),
		       ('%[4]s', 'bob', 'Draft', 'draft', NULL, NULL, '{}', false, 9, false, 9),
		       ('%[5]s', 'bob', 'Empty', 'draft', '', NULL, '{}', false, NULL, false, NULL);`,
		source, extra, agentID(1), agentID(2), agentID(3))
	want := func() keys.AgentInfo {
		return keys.AgentInfo{Owner: "ann", Status: "published", Sources: []string{source, extra}, RequestsPerDay: 7, TokensPerDay: 50000}
	}
	withOrigins := want()
	withOrigins.RestrictOrigins, withOrigins.Origins = true, []string{"https://a.example"}
	broken := want()
	broken.RestrictOrigins = true
	for _, c := range []struct {
		name, schema string
		want         keys.AgentInfo
	}{
		{"0.17", schema017, want()},
		{"1.1", schema017 + added11, want()},
		{
			"after 1.1, with origins", schema017 + added11 +
				`ALTER TABLE agents ALTER config SET DEFAULT '{"restrict_origins": true, "allowed_origins": ["https://a.example", 5]}';`,
			withOrigins,
		},
		{
			"after 1.1, origins switched off", schema017 + added11 +
				`ALTER TABLE agents ALTER config SET DEFAULT '{"restrict_origins": false, "allowed_origins": ["https://a.example"]}';`,
			want(),
		},
		{"after 1.1, malformed config", schema017 + added11 + `ALTER TABLE agents ALTER config SET DEFAULT '[1]';`, broken},
		{"in another schema", `CREATE SCHEMA app; SET search_path = app, public;` + schema017, want()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Database(t)
			pgtest.Exec(t, database, c.schema+rows)
			set := feedtest.Load(t, newFeed(t, options(t, pgtest.URI("postgres", database)+"&search_path=app,public")))
			k, ok := set["agent_"+agentID(1)]
			if len(set) != 1 || !ok {
				t.Fatalf("keys: %v", set)
			}
			if k.Name != "Docs" || k.Binding.Agent.Reveal() != "Key-A" || k.Digest != keys.DigestOf("Key-A") {
				t.Errorf("key: %+v", k)
			}
			// A restriction without a valid origin disables the key.
			if wantState := map[bool]keys.State{true: keys.Disabled}[c.want.RestrictOrigins && len(c.want.Origins) == 0]; k.State != wantState {
				t.Errorf("state %v, want %v", k.State, wantState)
			}
			if k.State == keys.Active && (len(k.Policy.Origins) != len(c.want.Origins) || k.Policy.Limits.QuestionsPerDay.Count() != 7) {
				t.Errorf("policy: %+v", k.Policy)
			}
			if !reflect.DeepEqual(*k.Facts, c.want) {
				t.Errorf("facts: %+v, want %+v", *k.Facts, c.want)
			}
		})
	}
}

// DocsGPT accepts a key in any letter case, and limits each spelling separately. The gate accepts only the stored one.
func TestOtherLetterCaseRejected(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, `INSERT INTO agents (user_id, name, status, key) VALUES ('local', 'A', 'published', 'Abc-Kelvin')`)
	g := feedtest.Run(t, newFeed(t, options(t, pgtest.URI("postgres", database))))
	if got := g.Verifier.Verify("Abc-Kelvin", time.Now()); !got.Allowed() || got.Key.Binding.Agent.Reveal() != "Abc-Kelvin" {
		t.Errorf("the stored letter case: %s", got.Reason)
	}
	for _, other := range []string{"abc-kelvin", "ABC-KELVIN", "Abc-\u212aelvin", "Abc-Kelvin "} {
		if got := g.Verifier.Verify(other, time.Now()); got.Allowed() {
			t.Errorf("%q: %s", other, got.Reason)
		}
	}
}

func TestFilters(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, fmt.Sprintf(`INSERT INTO agents (id, user_id, name, status, key) VALUES
		('%s', 'ann', 'A', 'published', 'a'), ('%s', 'ann', 'B', 'draft', 'b'), ('%s', 'bob', 'C', 'published', 'c'),
		('%s', 'bob', 'D (shared)', 'published', 'd')`, agentID(1), agentID(2), agentID(3), agentID(4)))
	for _, c := range []struct {
		name   string
		filter docsgptkeys.Filter
		want   string // their tokens
	}{
		{"none: all but shared ones", docsgptkeys.Filter{}, "abc"},
		{"owner", docsgptkeys.Filter{Owners: []string{"ann"}}, "ab"},
		{"published", docsgptkeys.Filter{OnlyPublished: true}, "ac"},
		{"including shared ones", docsgptkeys.Filter{IncludeShared: true}, "abcd"},
		{"ids", docsgptkeys.Filter{IDs: []string{strings.ToUpper(agentID(2)), "agent_" + agentID(3)}}, "bc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, pgtest.URI("postgres", database))
			o.Filter = c.filter
			f := newFeed(t, o)
			got := ""
			for n := 1; n <= 4; n++ {
				if k, ok := feedtest.Load(t, f)["agent_"+agentID(n)]; ok {
					got += k.Binding.Agent.Reveal()
				}
			}
			if got != c.want {
				t.Errorf("keys %q, want %q", got, c.want)
			}
			if got, want := len(f.Skipped()), 4-len(c.want); got != want {
				t.Errorf("%d agents skipped, want %d", got, want)
			}
		})
	}
}

const password = "hunter2-Secret"

// Errors that an operator has to fix say how, and do not contain the password. Load returns no keys with them.
func TestErrorMessages(t *testing.T) {
	database := docsgpt(t)
	careful, powerless := "careful_"+database, "powerless_"+database
	pgtest.Exec(t, "postgres", "CREATE ROLE "+careful+" LOGIN PASSWORD 'other' IN ROLE "+pgtest.WithPassword+"; CREATE ROLE "+powerless+" LOGIN")
	empty, foreign := pgtest.Database(t), pgtest.Database(t)
	pgtest.Exec(t, foreign, "CREATE TABLE agents (id uuid, codename text)")
	with := func(user, database string) string {
		return "postgres://" + user + ":" + password + "@" + pgtest.Host() + "/" + database + "?sslmode=disable"
	}
	for _, c := range []struct{ name, uri, want string }{
		{"wrong password", with(careful, database), "rejects the password"},
		{"no such user", with("stranger", database), "rejects this user"},
		{"no such database", with("postgres", "nowhere"), "does not exist"},
		{"no table", with("postgres", empty), "no table agents"},
		{"another program's table", with("postgres", foreign), "it is not the one of DocsGPT"},
		{
			"missing permissions", with(powerless, database), "GRANT SELECT (config, extra_source_ids, id, key, limited_request_mode, " +
				"limited_token_mode, name, request_limit, source_id, status, token_limit, user_id, xmin) ON agents",
		},
		{"unknown option", with("postgres", database) + "&codename=x", "rejects an option of the address"},
		{"GSS encryption", with("postgres", database) + "&gssencmode=require", "rejects an option of the address"},
		{"option of the server", with("postgres", database) + "&ssl_min_protocol_version=TLSv1.3", "rejects an option"},
		{
			"no TLS there", strings.NewReplacer("disable", "require", pgtest.Host(), newMiddle(t, false).addr).Replace(with("postgres", database)),
			"no trusted TLS connection",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, options(t, c.uri))
			set, err := f.Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Load: %v, want an error with %q", err, c.want)
			}
			if stale := (*keys.StaleError)(nil); errors.As(err, &stale) || set != nil {
				t.Errorf("an error of the operator is treated as an outage: %v", err)
			}
			watched := f.Watch(t.Context(), func() { t.Error("changed was called") })
			if watched == nil || watched.Error() != err.Error() {
				t.Errorf("Watch: %v, want the same as Load: %v", watched, err)
			}
			if strings.Contains(err.Error(), password) || strings.Contains(f.Name(), password) {
				t.Errorf("the error or name contains the password: %v, %s", err, f.Name())
			}
		})
	}
}

// The error for an invalid address contains no part of it.
func TestAddresses(t *testing.T) {
	for _, uri := range []string{
		"", "postgres://u:" + password + "@", "postgres://u:" + password + "@h:port/db", "postgres://u:" + password + "@h/db?sslmode=odd",
		"postgres://u:x/" + password + "@h/db", "postgres://u:12/" + password + "@h/db", "postgres://u:12?" + password + "@h/db",
		"postgres://u:%zz" + password + "@h/db", "host=h password='" + password, "mysql://u:" + password + "@h/db",
		"postgres://u:" + password + "@h/db?sslrootcert=/nowhere/" + password,
	} {
		f, err := pgfeed.New(dbfeed.Options{URI: keys.NewSecret(uri), InsecurePlaintext: true})
		if err == nil && (strings.Contains(f.Name(), password) || strings.HasPrefix(uri, "mysql")) {
			t.Errorf("accepted, with the name %s", f.Name())
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("the error contains the password: %v", err)
		}
	}
	for uri, want := range map[string]string{
		"postgres://u:p@h/db":                                 "docsgpt:h:5432/db",
		"postgresql+psycopg://u:p%40x@h:6000/db":              "docsgpt:h:6000/db",
		"POSTGRESQL+psycopg2://u:p@h:6000/db?sslmode=disable": "docsgpt:h:6000/db",
		" postgres://u:p@[::1]:1/db\n":                        "docsgpt:[::1]:1/db",
		"postgres://u:p@a:1,b:2/db?target_session_attrs=any":  "docsgpt:a:1,b:2/db",
		"host=/run/pg user=u password=p dbname=db":            "docsgpt:/run/pg:5432/db",
		"postgresql+psycopg://u:p@/db?host=/run/pg":           "docsgpt:/run/pg:5432/db",
	} {
		f, err := pgfeed.New(dbfeed.Options{URI: keys.NewSecret(uri), InsecurePlaintext: true})
		if err != nil {
			t.Errorf("%s: %v", uri, err)
		} else if f.Name() != want {
			t.Errorf("%s: the name is %s, want %s", uri, f.Name(), want)
		}
	}
}

// Options that other clients support are accepted, because the address is DocsGPT's own.
func TestOptionsOfOtherClients(t *testing.T) {
	database := docsgpt(t)
	pgtest.Exec(t, database, insert(1))
	f := newFeed(t, options(t, pgtest.URI("postgres", database)+"&gssencmode=disable&keepalives=1&keepalives_idle=30&"+
		"keepalives_interval=5&keepalives_count=3&tcp_user_timeout=1000&sslcompression=0&fallback_application_name=docsgpt&"+
		"load_balance_hosts=disable&prepare_threshold=0&channel_binding=prefer&client_encoding=utf8&connect_timeout=3&"+
		"options=-c%20statement_timeout%3D60s"))
	if set := feedtest.Load(t, f); len(set) != 1 {
		t.Errorf("%d keys", len(set))
	}
}

// The permissions of GrantSQL are sufficient for all functions of the feed, and allow nothing else.
func TestGrants(t *testing.T) {
	for _, schema := range []string{schema017, schema017 + added11} {
		database := pgtest.Database(t)
		role := `reader "of" 'it' ` + database
		quoted := `"` + strings.ReplaceAll(role, `"`, `""`) + `"`
		pgtest.Exec(t, database, schema+insert(1)+"CREATE ROLE "+quoted+" LOGIN;"+pgfeed.GrantSQL(role)+pgfeed.GrantSQL(role)+
			pgfeed.TriggerSQL())
		uri := "host=127.0.0.1 port=" + pgtest.Host()[len("127.0.0.1:"):] + " sslmode=disable dbname=" + database +
			" user='" + strings.ReplaceAll(role, "'", `\'`) + "'"
		f := newFeed(t, options(t, uri))
		g := feedtest.Run(t, f)
		g.WaitFor(agentKey(1), keys.Allowed)
		pgtest.Exec(t, database, insert(2))
		g.WaitFor(agentKey(2), keys.Allowed)
		for _, c := range []string{
			"SELECT incoming_webhook_token FROM agents", "SELECT tools FROM agents", "SELECT * FROM agents", "SELECT name FROM sources",
			"UPDATE agents SET name = name", "DELETE FROM agents",
		} {
			if err := pgtest.Try(t, uri, c); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s: %v, want it denied", c, err)
			}
		}
		if schema == schema017 {
			continue // without the table token_usage
		}
		if err := pgtest.Try(t, uri, "SELECT request_id, prompt_tokens, generated_tokens FROM token_usage"); err != nil {
			t.Error(err)
		}
		for _, c := range []string{
			"SELECT api_key FROM token_usage", "SELECT user_id FROM token_usage", "SELECT * FROM token_usage",
			"UPDATE token_usage SET prompt_tokens = 0", "DELETE FROM token_usage",
		} {
			if err := pgtest.Try(t, uri, c); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s: %v, want it denied", c, err)
			}
		}
	}
}
