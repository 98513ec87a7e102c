package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// snapshotSQL selects the server's snapshot of visible transactions; empty: unknown. The function is older than
// pg_current_snapshot and exists in every version. On a standby server the snapshot lacks the transactions in progress, so it does not
// change when one of them ends.
const snapshotSQL = "SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE txid_current_snapshot()::text END"

// bucketOf is the bucket of a row.
const bucketOf = "(uuid_hash(id) & 1023)"

// inBuckets selects the rows of some buckets.
const inBuckets = " AND " + bucketOf + " = ANY($1::int[])"

// requiredColumns are needed for keys and filters. optionalColumns are only informational.
var (
	requiredColumns = []string{"id", "key", "user_id", "name", "status"}
	optionalColumns = []string{
		"source_id", "extra_source_ids", "limited_request_mode", "request_limit", "limited_token_mode", "token_limit", configColumn,
	}
)

// configColumn was added in DocsGPT 0.21. It is not required, for roles with older permissions.
const configColumn = "config"

// xminColumn is the system column that changes with each version of a row.
const xminColumn = "xmin"

// table describes the table agents, which depends on the version of DocsGPT.
type table struct {
	name    string   // with the schema, quoted
	columns []string // columns that the role may read, sorted
	denied  []string // columns that it may not read
}

func (t *table) has(columns ...string) bool {
	for _, c := range columns {
		if !slices.Contains(t.columns, c) {
			return false
		}
	}
	return true
}

// discover describes the first table agents in the role's search path. It reads the catalog, because information_schema hides columns
// that the role may not read, so that they could not be distinguished from missing ones.
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

// warnDenied warns once that the role lacks permissions for the installed version of DocsGPT.
func (f *Feed) warnDenied(t *table) {
	denied := len(t.denied) > 0
	if denied && !f.deniedWarned {
		f.options.OnWarning("the role may not read the column " + configColumn + " of agents, in which DocsGPT 0.21 and later stores an " +
			"agent's web origins: run the output of `docsgate adopt --print-grants` again. Until then the origins are unknown")
	}
	f.deniedWarned = denied
}

var (
	errNoTable = errors.New("this database has no table agents: check that it belongs to DocsGPT 0.17 or later, and that its " +
		"migrations were run. If the table is in another schema, add ?search_path=NAME to the address; the role also needs GRANT USAGE " +
		"on the schema")
	errForeignTable = errors.New("the table agents lacks one of the columns id, key, user_id, name and status: it is not the one of DocsGPT")
)

// deniedError is the error for required columns that the role may not read.
type deniedError struct{ columns []string }

func (e deniedError) Error() string {
	return "the role lacks required permissions: GRANT SELECT (" + strings.Join(e.columns, ", ") + ") ON agents TO it, or run the output of " +
		"`docsgate adopt --print-grants ROLE`"
}

// column returns an expression if the table has the columns it needs, or else an alternative.
func (t *table) column(expression, otherwise string, columns ...string) string {
	if t.has(columns...) {
		return expression
	}
	return otherwise
}

// agentsQuery returns the query for the rows that have a key and satisfy a condition. A limit that is enabled without a number
// has DocsGPT's default.
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

// bucketChecksums returns the query for the checksums of the buckets: the number of rows, and a sum of hashes of their ids and versions.
// It does not include the columns, which would take three times as long: a row that was updated with the same values is read again, but
// is not a change.
func (t *table) checksumQuery() string {
	return "SELECT " + bucketOf + ", count(*) || ':' || sum(hashtextextended(xmin::text, uuid_hash_extended(id, $1::bigint))) FROM " +
		t.name + " GROUP BY 1"
}
