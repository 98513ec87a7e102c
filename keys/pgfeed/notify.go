package pgfeed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Channel is the channel of PostgreSQL's notifications on which the trigger says that agents have changed.
const Channel = "docsgate"

// The names of what TriggerSQL makes.
const (
	triggerName  = "docsgate_changed"
	functionName = "docsgate_changed"
)

// notifyCall is what the trigger's function does. The feed looks for it before it relies on the trigger.
const notifyCall = "pg_catalog.pg_notify('" + Channel + "', '')"

// notifyTimeout is how long the feed's own notification may take to come back.
const notifyTimeout = 2 * time.Second

// TriggerSQL returns the statements that make the database say itself when agents have changed. The owner of DocsGPT's
// tables runs them, again after an upgrade of DocsGPT; running them twice does no harm. The notification says nothing but
// that something has changed. A source needs no trigger of its own: when one is deleted DocsGPT's database changes its agents.
func TriggerSQL() string {
	return `-- Tells docsgate at once when agents change. Run it in DocsGPT's database as the owner of its tables, for example
--   docsgate adopt --print-trigger | psql "$POSTGRES_URI"
-- To take it away again:
--   DROP TRIGGER IF EXISTS ` + triggerName + ` ON agents; DROP FUNCTION IF EXISTS ` + functionName + `();
BEGIN;
-- DocsGPT must not wait because this waits for one of its transactions. If it gives up, run it again.
SET LOCAL lock_timeout = '2s';
CREATE OR REPLACE FUNCTION ` + functionName + `() RETURNS trigger LANGUAGE plpgsql AS $docsgate$
BEGIN
  PERFORM ` + notifyCall + `;
  RETURN NULL;
END
$docsgate$;
DO $docsgate$
DECLARE
  columns text;
BEGIN
  -- Only what matters to the gate: a conversation that goes on writes last_used_at.
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO STRICT columns
  FROM pg_catalog.pg_attribute
  WHERE attrelid = 'agents'::regclass AND NOT attisdropped AND attname IN (` + literals(slices.Concat(requiredColumns, optionalColumns)) + `);
  DROP TRIGGER IF EXISTS ` + triggerName + ` ON agents;
  EXECUTE 'CREATE TRIGGER ` + triggerName + ` AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF ' || columns
    || ' ON agents FOR EACH STATEMENT EXECUTE FUNCTION ` + functionName + `()';
END
$docsgate$;
COMMIT;
`
}

// GrantSQL returns the statements that allow a role to read what the feed needs and nothing else. The owner of DocsGPT's
// tables runs them, again after an upgrade of DocsGPT; running them twice does no harm. The role is to exist.
func GrantSQL(role string) string {
	quoted := pgx.Identifier{role}.Sanitize()
	tag := "docsgate"
	for strings.Contains(role, "$"+tag+"$") {
		tag += "_"
	}
	return `-- Lets a role read what docsgate needs, and nothing else. Run it in DocsGPT's database as the owner of its tables. If there
-- is no such role yet:
--   CREATE ROLE name LOGIN PASSWORD '...';
-- To take the rights away again:
--   REVOKE ALL ON agents FROM name;
DO $` + tag + `$
DECLARE
  columns text;
BEGIN
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO STRICT columns
  FROM pg_catalog.pg_attribute
  WHERE attrelid = 'agents'::regclass AND NOT attisdropped AND attname IN (` +
		literals(slices.Concat(requiredColumns, optionalColumns, []string{xminColumn})) + `);
  EXECUTE 'GRANT SELECT (' || columns || ') ON agents TO ` + strings.ReplaceAll(quoted, "'", "''") + `';
END
$` + tag + `$;
`
}

// literals are plain names as SQL strings.
func literals(names []string) string { return "'" + strings.Join(names, "', '") + "'" }

// listen asks for notifications, and tells whether they can be relied upon: the trigger is there and covers all columns, and
// a notification comes through. Without that the feed polls, as everywhere.
func (f *Feed) listen(ctx context.Context, l *conn) (notified bool, err error) {
	if notified, err = f.hasTrigger(ctx, l); err != nil || !notified {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	if _, err := l.pg.Exec(ctx, "LISTEN "+Channel); err != nil {
		return false, f.notificationsUnavailable(err)
	}
	// A pooler may take LISTEN, and hand the connection to somebody else.
	mark := rand.Text()
	if _, err := l.pg.Exec(ctx, "SELECT pg_catalog.pg_notify('"+Channel+"', $1)", mark); err != nil {
		return false, f.notificationsUnavailable(err)
	}
	for deadline := time.Now().Add(min(notifyTimeout, f.options.Timeout)); ; {
		limited, stop := context.WithDeadline(ctx, deadline)
		n, err := l.pg.WaitForNotification(limited)
		stop()
		switch {
		case err == nil && n.Payload == mark:
			return true, nil
		case err == nil:
			continue
		case l.pg.IsClosed() || ctx.Err() != nil:
			return false, fmt.Errorf("waiting for a notification: %w", err)
		default:
			return false, f.notificationsUnavailable(nil)
		}
	}
}

// notificationsUnavailable notes that the trigger is of no use. An error of the connection is passed on.
func (f *Feed) notificationsUnavailable(err error) error {
	var refused *pgconn.PgError
	if err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("asking for notifications: %w", err)
	}
	f.options.OnWarning("the database has the trigger, but its notifications do not come through (a pooler, or a standby server?): the " +
		"feed looks for changes itself, as it does without the trigger")
	return nil
}

// hasTrigger tells whether the trigger is there as TriggerSQL makes it now.
func (f *Feed) hasTrigger(ctx context.Context, l *conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	var is, covers bool
	// The type's bits: 4 insert, 8 delete, 16 update, 32 truncate; 1 would be for each row, 2 before.
	err := l.pg.QueryRow(ctx, `
		SELECT count(*) > 0, coalesce(bool_and(NOT EXISTS (
		  SELECT FROM pg_catalog.pg_attribute a
		  WHERE a.attrelid = t.tgrelid AND NOT a.attisdropped AND a.attname = ANY($1) AND NOT a.attnum = ANY(t.tgattr::int2[]))), false)
		FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
		WHERE t.tgrelid = to_regclass('agents') AND t.tgname = $2 AND t.tgenabled IN ('O', 'A') AND t.tgtype & 63 = 60
		  AND t.tgqual IS NULL AND position($3 IN p.prosrc) > 0`,
		slices.Concat(requiredColumns, optionalColumns), triggerName, notifyCall).Scan(&is, &covers)
	if err != nil {
		return false, fmt.Errorf("looking for the trigger: %w", err)
	}
	if is && !covers {
		f.options.OnWarning("the trigger in the database does not cover all columns of this DocsGPT: run what `docsgate adopt " +
			"--print-trigger` prints again. Until then the feed looks for changes itself")
	}
	return is && covers, nil
}
