package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// snapshotSQL asks which transactions the server shows; empty: it cannot tell. The function is older than pg_current_snapshot, and
// every version has it. A standby server leaves out of it which transactions are not over, so that it stays the same when one
// of them ends.
const snapshotSQL = "SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE txid_current_snapshot()::text END"

// bucketOf is the group of a row.
const bucketOf = "(uuid_hash(id) & 1023)"

// inBuckets takes the rows of some groups.
const inBuckets = " AND " + bucketOf + " = ANY($1::int[])"

// requiredColumns are the columns without which there are no keys, or filters cannot be kept; wanted those that are facts only.
var (
	requiredColumns = []string{"id", "key", "user_id", "name", "status"}
	optionalColumns = []string{
		"source_id", "extra_source_ids", "limited_request_mode", "request_limit", "limited_token_mode", "token_limit", configColumn,
	}
)

// configColumn is the column that came in 0.21. A role whose rights are older goes on without it.
const configColumn = "config"

// xminColumn is the system column that tells one version of a row from the next.
const xminColumn = "xmin"

// table is what DocsGPT's version has.
type table struct {
	name    string   // with the schema, quoted
	columns []string // sorted; those that the role may read
	denied  []string // those that it may not
}

func (t *table) has(columns ...string) bool {
	for _, c := range columns {
		if !slices.Contains(t.columns, c) {
			return false
		}
	}
	return true
}

// discover looks at the table agents that the role finds first. The catalog is asked, and not information_schema: that one
// hides columns which the role may not read, so that they would pass for missing ones.
func discover(ctx context.Context, tx pgx.Tx) (*table, error) {
	rows, err := tx.Query(ctx, `
		SELECT format('%I.%I', n.nspname, c.relname), a.attname::text, has_column_privilege(c.oid, a.attnum, 'SELECT')
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
		WHERE c.oid = to_regclass('agents') AND a.attname = ANY($1)
		ORDER BY a.attname::text COLLATE "C"`, slices.Concat(requiredColumns, optionalColumns, []string{xminColumn}))
	if err != nil {
		return nil, fmt.Errorf("looking at DocsGPT's tables: %w", err)
	}
	t := &table{}
	var (
		name, column string
		readable     bool
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &column, &readable}, func() error {
		t.name = name
		if readable {
			t.columns = append(t.columns, column)
		} else {
			t.denied = append(t.denied, column)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking at DocsGPT's tables: %w", err)
	case t.name == "":
		return nil, errNoTable
	case len(t.denied) > 0 && !slices.Equal(t.denied, []string{configColumn}):
		return nil, deniedError{columns: t.denied}
	case !t.has(requiredColumns...):
		return nil, errForeignTable
	}
	return t, nil
}

// warnDenied says once that the role's rights are those for an older DocsGPT.
func (f *Feed) warnDenied(t *table) {
	denied := len(t.denied) > 0
	if denied && !f.deniedWarned {
		f.options.OnWarning("the role may not read the column " + configColumn + " of agents, where newer versions of DocsGPT keep an agent's web " +
			"origins: run what `docsgate adopt --print-grants` prints again. Until then the gate does not know of them")
	}
	f.deniedWarned = denied
}

var (
	errNoTable = errors.New("there is no table agents in this database: is it the one of DocsGPT 0.17 or newer, and have its " +
		"migrations been run? If it is in a schema of its own, add ?search_path=NAME to the address; and the role needs GRANT USAGE " +
		"on that schema")
	errForeignTable = errors.New("the table agents of this database lacks one of the columns id, key, user_id, name and status: it is not DocsGPT's")
)

// deniedError names columns that the role may not read.
type deniedError struct{ columns []string }

func (e deniedError) Error() string {
	return "the role may not read what the gate needs: GRANT SELECT (" + strings.Join(e.columns, ", ") + ") ON agents TO it; `docsgate adopt " +
		"--print-grants ROLE` prints what to run"
}

// column is an expression if the version has the columns it needs, else an alternative.
func (t *table) column(expression, otherwise string, columns ...string) string {
	if t.has(columns...) {
		return expression
	}
	return otherwise
}

// agentsQuery returns the query for the rows that have a key and fulfil a further condition. A limit that is switched on without
// a number is DocsGPT's default.
func (t *table) agentsQuery(condition string) string {
	list := []string{
		bucketOf, "id::text", "key::text",
		"coalesce(name, '')", "coalesce(user_id, '')", "coalesce(status::text, '')",
		t.column("source_id::text", "NULL", "source_id"),
		t.column("coalesce(extra_source_ids::text[], '{}')", "'{}'::text[]", "extra_source_ids"),
		t.column("CASE WHEN limited_request_mode THEN coalesce(request_limit, 500)::bigint END", "NULL::bigint", "limited_request_mode", "request_limit"),
		t.column("CASE WHEN limited_token_mode THEN coalesce(token_limit, 50000)::bigint END", "NULL::bigint", "limited_token_mode", "token_limit"),
		t.column("jsonb_typeof(config)", "NULL", configColumn),
		t.column("(config->'restrict_origins')::text", "NULL", configColumn),
		t.column("(config->'allowed_origins')::text", "NULL", configColumn),
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + t.name + " WHERE key IS NOT NULL AND key::text <> ''" + condition
}

// bucketChecksums returns the query for the marks of the groups: how many rows there are, and a sum over ids and versions of rows. It
// does not look at what stands in the rows, which takes three times as long; a row that was written with the same values is
// read again and found to be the same.
func (t *table) checksumQuery() string {
	return "SELECT " + bucketOf + ", count(*) || ':' || sum(hashtextextended(xmin::text, uuid_hash_extended(id, $1::bigint))) FROM " +
		t.name + " GROUP BY 1"
}
