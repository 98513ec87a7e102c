package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docsgate/docsgate/keys/quota"
)

// tokenColumns are the columns of the table token_usage that are needed. The table has a row for each call of a model; the calls for
// one answer have the same request ID.
var tokenColumns = []string{"generated_tokens", "prompt_tokens", "request_id"}

// TokenUsage reads how many tokens answers have cost, from DocsGPT's table token_usage. It implements [quota.TokenSource]. It has one
// connection of its own, which it opens when it is needed, so that it never delays the keys.
type TokenUsage struct {
	feed  *Feed
	conn  *conn  // nil: not connected
	query string // for the columns and the schema that the connection has found
}

var _ quota.TokenSource = (*TokenUsage)(nil)

// TokenUsage returns the numbers of tokens in the feed's database. It does not access the database.
func (f *Feed) TokenUsage() *TokenUsage { return &TokenUsage{feed: f} }

// Check returns a *quota.UnreadableError if the numbers cannot be read until an operator changes something.
func (u *TokenUsage) Check(ctx context.Context) error {
	defer u.Close()
	_, err := u.Tokens(ctx, nil)
	return err
}

// Tokens implements quota.TokenSource. It reads only through the index of request IDs.
func (u *TokenUsage) Tokens(ctx context.Context, ids []string) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, u.feed.options.Timeout)
	defer cancel()
	found, err := u.read(ctx, ids)
	if err == nil {
		return found, nil
	}
	u.Close() // the permissions are checked again on the next connection
	if _, ok := errors.AsType[*quota.UnreadableError](err); ok {
		return nil, err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "42501":
			return nil, errTokensDenied
		case "42P01", "42703": // the table or a column was removed
			return nil, errNoTokens
		}
	}
	err, _ = ClassifyError(err, docsgptDatabase, u.feed.options.Timeout)
	return nil, err
}

func (u *TokenUsage) read(ctx context.Context, ids []string) (map[string]int64, error) {
	if u.conn == nil {
		c, err := u.feed.connect(ctx)
		if err != nil {
			return nil, err
		}
		u.conn, u.query = c, ""
	}
	found := make(map[string]int64, len(ids))
	err := u.feed.transaction(ctx, u.conn, func(tx pgx.Tx) (err error) {
		if u.query == "" {
			if u.query, err = tokenQuery(ctx, tx); err != nil {
				return err
			}
		}
		if len(ids) == 0 {
			return nil
		}
		// The statistics of a table that has grown quickly may be out of date.
		if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off"); err != nil {
			return fmt.Errorf("disabling sequential scans: %w", err)
		}
		rows, err := tx.Query(ctx, u.query, ids)
		if err != nil {
			return fmt.Errorf("reading the tokens of answers: %w", err)
		}
		var (
			id     string
			tokens int64
		)
		if _, err := pgx.ForEachRow(rows, []any{&id, &tokens}, func() error { found[id] = tokens; return nil }); err != nil {
			return fmt.Errorf("reading the tokens of answers: %w", err)
		}
		return nil
	})
	return found, err
}

// Close implements quota.TokenSource.
func (u *TokenUsage) Close() {
	if u.conn != nil {
		u.conn.Close()
		u.conn = nil
	}
}

var (
	errTokensDenied = &quota.UnreadableError{Reason: "the role may not read the table token_usage, in which DocsGPT records the tokens of " +
		"answers: run the output of `docsgate adopt --print-grants` again"}
	errNoTokens = &quota.UnreadableError{Reason: "this DocsGPT does not record the tokens of each request, or the index of its table " +
		"token_usage is missing"}
)

// tokenQuery returns the query for the tokens of requests. Without an index, which DocsGPT's migrations create with the column of
// request IDs, each query would read the whole table.
func tokenQuery(ctx context.Context, tx pgx.Tx) (string, error) {
	rows, err := tx.Query(ctx, `
		SELECT format('%I.%I', n.nspname, c.relname), a.attname::text, has_column_privilege(c.oid, a.attnum, 'SELECT'),
		  a.attname <> 'request_id' OR EXISTS (
		    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indkey[0] = a.attnum)
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
		WHERE c.oid = to_regclass('token_usage') AND a.attname = ANY($1)
		ORDER BY a.attname::text COLLATE "C"`, tokenColumns)
	if err != nil {
		return "", fmt.Errorf("looking at the table token_usage: %w", err)
	}
	var (
		table, column     string
		readable, indexed bool
		columns           []string
		denied, unindexed bool
	)
	if _, err := pgx.ForEachRow(rows, []any{&table, &column, &readable, &indexed}, func() error {
		columns = append(columns, column)
		denied, unindexed = denied || !readable, unindexed || !indexed
		return nil
	}); err != nil {
		return "", fmt.Errorf("looking at the table token_usage: %w", err)
	}
	switch {
	case !slices.Equal(columns, tokenColumns), unindexed:
		return "", errNoTokens
	case denied:
		return "", errTokensDenied
	}
	// The index does not contain the rows without an ID.
	return "SELECT request_id, sum(prompt_tokens::bigint + generated_tokens)::bigint FROM " + table +
		" WHERE request_id = ANY($1::text[]) AND request_id IS NOT NULL GROUP BY 1", nil
}

// tokenGrantSQL returns the part of GrantSQL, in a block of PL/pgSQL, that grants the columns of token_usage to a quoted role, if the
// installed version of DocsGPT has them.
func tokenGrantSQL(role string) string {
	return `  IF (SELECT count(*) FROM pg_catalog.pg_attribute
      WHERE attrelid = to_regclass('token_usage') AND NOT attisdropped AND attname IN (` + literals(tokenColumns) + `)) = ` +
		fmt.Sprint(len(tokenColumns)) + ` THEN
    EXECUTE 'GRANT SELECT (` + strings.Join(tokenColumns, ", ") + `) ON token_usage TO ` + role + `';
  END IF;
`
}
