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

// Channel is the PostgreSQL notification channel of the trigger.
const Channel = "docsgate"

// Names of the objects that TriggerSQL creates.
const (
	triggerName  = "docsgate_changed"
	functionName = "docsgate_changed"
)

// notifyCall is the call in the trigger's function. The feed checks it before it relies on the trigger.
const notifyCall = "pg_catalog.pg_notify('" + Channel + "', '')"

// notifyTimeout is the timeout for receiving the feed's own notification.
const notifyTimeout = 2 * time.Second

// TriggerSQL returns SQL that installs a trigger, which sends a notification when agents change. The owner of DocsGPT's tables must
// run it, and again after each upgrade of DocsGPT. It is idempotent. Notifications have no content. The table of sources needs no
// trigger: when a source is deleted, the database also changes its agents.
func TriggerSQL() string {
	return `-- Notifies docsgate immediately when agents change. Run it in DocsGPT's database as the owner of its tables, for example
--   docsgate adopt --print-trigger | psql "$POSTGRES_URI"
-- To remove it:
--   DROP TRIGGER IF EXISTS ` + triggerName + ` ON agents; DROP FUNCTION IF EXISTS ` + functionName + `();
BEGIN;
-- Do not block DocsGPT while waiting for one of its transactions. If this times out, run it again.
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
  -- Only the columns that docsgate reads: every conversation writes last_used_at.
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

// GrantSQL returns SQL that grants an existing role the permissions to read the columns that Feed and TokenUsage need, and no others. The
// owner of DocsGPT's tables must run it, and again after each upgrade of DocsGPT. It is idempotent.
func GrantSQL(role string) string {
	quoted := strings.ReplaceAll(pgx.Identifier{role}.Sanitize(), "'", "''") // for a string
	tag := "docsgate"
	for strings.Contains(role, "$"+tag+"$") {
		tag += "_"
	}
	return `-- Allows a role to read the columns that docsgate needs, and no others. Run it in DocsGPT's database as the owner of its tables.
-- To create the role:
--   CREATE ROLE name LOGIN PASSWORD '...';
-- To revoke the permissions:
--   REVOKE ALL ON agents FROM name;
--   REVOKE ALL ON token_usage FROM name;
DO $` + tag + `$
DECLARE
  columns text;
BEGIN
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO STRICT columns
  FROM pg_catalog.pg_attribute
  WHERE attrelid = 'agents'::regclass AND NOT attisdropped AND attname IN (` +
		literals(slices.Concat(requiredColumns, optionalColumns, []string{xminColumn})) + `);
  EXECUTE 'GRANT SELECT (' || columns || ') ON agents TO ` + quoted + `';
  -- How many tokens answers have cost, for limits of tokens.
` + tokenGrantSQL(quoted) + `END
$` + tag + `$;
`
}

// literals returns simple names as SQL string literals.
func literals(names []string) string { return "'" + strings.Join(names, "', '") + "'" }

// listen subscribes to notifications, and reports whether they are reliable: the trigger exists and covers all columns, and a
// notification is received. Otherwise the feed polls.
func (f *Feed) listen(ctx context.Context, c *conn) (notified bool, err error) {
	if notified, err = f.hasTrigger(ctx, c); err != nil || !notified {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	if _, err := c.pg.Exec(ctx, "LISTEN "+Channel); err != nil {
		return false, f.notificationsUnavailable(err)
	}
	// A pooler may accept LISTEN and assign the connection to another client.
	payload := rand.Text()
	if _, err := c.pg.Exec(ctx, "SELECT pg_catalog.pg_notify('"+Channel+"', $1)", payload); err != nil {
		return false, f.notificationsUnavailable(err)
	}
	for deadline := time.Now().Add(min(notifyTimeout, f.options.Timeout)); ; {
		limited, stop := context.WithDeadline(ctx, deadline)
		n, err := c.pg.WaitForNotification(limited)
		stop()
		switch {
		case err == nil && n.Payload == payload:
			return true, nil
		case err == nil:
			continue
		case c.pg.IsClosed() || ctx.Err() != nil:
			return false, fmt.Errorf("waiting for a notification: %w", err)
		default:
			return false, f.notificationsUnavailable(nil)
		}
	}
}

// notificationsUnavailable warns that the trigger has no effect. An error of the connection is returned.
func (f *Feed) notificationsUnavailable(err error) error {
	var serverErr *pgconn.PgError
	if err != nil && !errors.As(err, &serverErr) {
		return fmt.Errorf("subscribing to notifications: %w", err)
	}
	f.options.OnWarning("the trigger is installed, but its notifications are not received, possibly because of a connection pooler or a " +
		"standby server; the feed polls the database instead")
	return nil
}

// hasTrigger reports whether the current version of the trigger is installed.
func (f *Feed) hasTrigger(ctx context.Context, c *conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	var exists, covers bool
	// tgtype: 4 insert, 8 delete, 16 update, 32 truncate; not 1 (for each row) or 2 (before).
	err := c.pg.QueryRow(ctx, `
		SELECT count(*) > 0, coalesce(bool_and(NOT EXISTS (
		  SELECT FROM pg_catalog.pg_attribute a
		  WHERE a.attrelid = t.tgrelid AND NOT a.attisdropped AND a.attname = ANY($1) AND NOT a.attnum = ANY(t.tgattr::int2[]))), false)
		FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
		WHERE t.tgrelid = to_regclass('agents') AND t.tgname = $2 AND t.tgenabled IN ('O', 'A') AND t.tgtype & 63 = 60
		  AND t.tgqual IS NULL AND position($3 IN p.prosrc) > 0`,
		slices.Concat(requiredColumns, optionalColumns), triggerName, notifyCall).Scan(&exists, &covers)
	if err != nil {
		return false, fmt.Errorf("checking the trigger: %w", err)
	}
	if exists && !covers {
		f.options.OnWarning("the trigger does not cover all columns of this version of DocsGPT: run the output of `docsgate adopt " +
			"--print-trigger` again. Until then the feed polls the database")
	}
	return exists && covers, nil
}
