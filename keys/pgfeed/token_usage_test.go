package pgfeed_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/pgfeed"
	"github.com/docsgate/docsgate/keys/quota"
)

// tokenUsage creates a database with a role that has the permissions of GrantSQL, and returns its numbers of tokens.
func tokenUsage(t *testing.T, schema string) (u *pgfeed.TokenUsage, database, role string) {
	t.Helper()
	database = pgtest.Database(t)
	role = "tokens_" + database
	pgtest.Exec(t, database, schema+"CREATE ROLE "+role+" LOGIN;"+pgfeed.GrantSQL(role))
	u = newFeed(t, options(t, pgtest.URI(role, database))).TokenUsage()
	t.Cleanup(u.Close)
	return u, database, role
}

func wantTokens(t *testing.T, u *pgfeed.TokenUsage, ids []string, want map[string]int64) {
	t.Helper()
	if got, err := u.Tokens(t.Context(), ids); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func wantUnreadable(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[*quota.UnreadableError](err); !ok || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want an UnreadableError with %q", err, want)
	}
}

func TestTokenUsage(t *testing.T) {
	u, database, _ := tokenUsage(t, schema017+added11)
	if err := u.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, database, `INSERT INTO token_usage (request_id, prompt_tokens, generated_tokens, source) VALUES
		('a', 100, 20, 'agent_stream'), ('a', 1000, 3, 'agent_stream'), ('a', 5, 0, 'rag_condense'),
		('b', 2147483647, 2147483647, 'agent_stream'), (NULL, 7, 7, 'title'), ('c', 1, 1, 'agent_stream')`)
	wantTokens(t, u, []string{"a", "b", "unknown", "'; --", ""}, map[string]int64{"a": 1128, "b": 2 * 2147483647})
	pgtest.Exec(t, database, `INSERT INTO token_usage (request_id, prompt_tokens) VALUES ('a', 1)`)
	wantTokens(t, u, []string{"a"}, map[string]int64{"a": 1129})
	u.Close()
	wantTokens(t, u, []string{"c"}, map[string]int64{"c": 2})
	feedtest.Eventually(t, "a connection is closed", func() bool {
		u.Close()
		return pgtest.Try(t, pgtest.URI("postgres", database), `DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'docsgate') = 0; END $$`) == nil
	})
}

// The table is read through its index, whatever the statistics of the table are.
func TestTokenUsageReadsIndex(t *testing.T) {
	u, database, _ := tokenUsage(t, schema017+added11)
	ids := make([]string, 500)
	for i := range ids {
		ids[i] = fmt.Sprint("request-", i*100)
	}
	fill := func(from, to int) {
		pgtest.Exec(t, database, fmt.Sprintf(`INSERT INTO token_usage (request_id, prompt_tokens)
			SELECT CASE WHEN i %% 2 = 0 THEN 'request-' || i END, 1 FROM generate_series(%d, %d) i`, from, to))
	}
	fill(0, 100)
	pgtest.Exec(t, database, "ANALYZE token_usage")
	fill(101, 60_000)
	if got, err := u.Tokens(t.Context(), ids); err != nil || len(got) != len(ids) {
		t.Errorf("%d of %d, %v", len(got), len(ids), err)
	}
	u.Close() // a connection reports its statistics at its end
	feedtest.Eventually(t, "an index scan, and no sequential scan but that of the index's creation", func() bool {
		return pgtest.Try(t, pgtest.URI("postgres", database), `DO $$ BEGIN ASSERT (SELECT idx_scan > 0 AND seq_tup_read = 0
			FROM pg_stat_user_tables WHERE relname = 'token_usage'); END $$`) == nil
	})
}

func TestTokenUsageUnreadable(t *testing.T) {
	u, database, role := tokenUsage(t, schema017)
	wantUnreadable(t, u.Check(t.Context()), "does not record")
	pgtest.Exec(t, database, added11)
	wantUnreadable(t, u.Check(t.Context()), "--print-grants")
	_, err := u.Tokens(t.Context(), []string{"a"})
	wantUnreadable(t, err, "--print-grants")
	pgtest.Exec(t, database, pgfeed.GrantSQL(role)+"INSERT INTO token_usage (request_id, prompt_tokens) VALUES ('a', 1)")
	wantTokens(t, u, []string{"a"}, map[string]int64{"a": 1})
	pgtest.Exec(t, database, "REVOKE SELECT (prompt_tokens) ON token_usage FROM "+role)
	_, err = u.Tokens(t.Context(), []string{"a"}) // on the same connection
	wantUnreadable(t, err, "--print-grants")
	pgtest.Exec(t, database, pgfeed.GrantSQL(role)+"DROP INDEX token_usage_request_id_idx")
	_, err = u.Tokens(t.Context(), []string{"a"})
	wantUnreadable(t, err, "index")
	pgtest.Exec(t, database, "CREATE INDEX ON token_usage (request_id)")
	wantTokens(t, u, []string{"a"}, map[string]int64{"a": 1})
	pgtest.Exec(t, database, "ALTER TABLE token_usage DROP COLUMN prompt_tokens")
	_, err = u.Tokens(t.Context(), []string{"a"}) // on the same connection
	wantUnreadable(t, err, "does not record")
}

// Errors of an unavailable database are temporary, and end within the timeout.
func TestTokenUsageUnavailable(t *testing.T) {
	_, database, _ := tokenUsage(t, schema017+added11)
	pgtest.Exec(t, database, "INSERT INTO token_usage (request_id, prompt_tokens) VALUES ('a', 1)")
	p := feedtest.NewProxy(t, pgtest.Host())
	o := options(t, through(p, database))
	o.Timeout = 2 * time.Second
	u := newFeed(t, o).TokenUsage()
	defer u.Close()
	wantTokens(t, u, []string{"a"}, map[string]int64{"a": 1})
	p.Blackhole()
	begun := time.Now()
	_, err := u.Tokens(t.Context(), []string{"a"})
	if _, ok := errors.AsType[*quota.UnreadableError](err); ok || err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("the error is %v", err)
	}
	if d := time.Since(begun); d > 20*time.Second {
		t.Errorf("it took %s", d)
	}
	p.Accept()
	feedtest.Eventually(t, "the database is available again", func() bool {
		got, err := u.Tokens(t.Context(), []string{"a"})
		return err == nil && got["a"] == 1
	})
}
