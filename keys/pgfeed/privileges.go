package pgfeed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// Privileges returns what the role of the feed may do beyond reading. It opens a connection of its own.
func (f *Feed) Privileges(ctx context.Context) (p docsgptkeys.Privileges, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	c, err := f.connect(ctx)
	if err == nil {
		defer c.Close()
		err = f.transaction(ctx, c, func(tx pgx.Tx) error {
			// A role may also be a member of a superuser role, and SET ROLE to it.
			return tx.QueryRow(ctx, `
				SELECT session_user::text,
				  EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolsuper AND pg_has_role(session_user, r.oid, 'MEMBER')),
				  COALESCE(has_any_column_privilege(to_regclass('agents'), 'INSERT, UPDATE') OR
				    has_table_privilege(to_regclass('agents'), 'DELETE, TRUNCATE'), false)`).Scan(&p.User, &p.Superuser, &p.Writes)
		})
	}
	if err != nil {
		err, _ = ClassifyError(err, docsgptDatabase, f.options.Timeout)
		return docsgptkeys.Privileges{}, fmt.Errorf("reading the permissions of the role: %w", err)
	}
	return p, nil
}
