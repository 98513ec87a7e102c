package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docsgate/docsgate/keys/pgfeed"
	"github.com/docsgate/docsgate/keys/registry"
)

// errDamaged means that a row cannot be decoded.
var errDamaged = errors.New("a row of the key store is damaged")

// rowError returns the error for a row that cannot be decoded.
func rowError(table, id string, err error) error {
	return fmt.Errorf("%w: table %s, row %q: %w", errDamaged, table, id, err)
}

// callbackError is an error of a callback, which is returned unchanged.
type callbackError struct{ error }

// userError returns an error for operators, without values and passwords. Errors of this package, of the registry and of callbacks
// are unchanged.
func (s *Store) userError(err error) error {
	var callback *callbackError
	if errors.As(err, &callback) {
		return callback.error
	}
	for _, own := range []error{registry.ErrUnavailable, registry.ErrNotFound, registry.ErrConflict, registry.ErrExists, ErrClosed, ErrNewer, errDamaged, context.Canceled} {
		if errors.Is(err, own) {
			return err
		}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "42501":
			return errors.New("the role of " + database + " lacks permissions: it must own the schema, or be allowed to create it " +
				"(GRANT CREATE ON DATABASE)")
		case "42P01", "3F000":
			return errors.New("the tables of " + database + " were removed: restart docsgate to create them again")
		case "25006":
			return unavailable(errors.New(database + " is read-only: it is a standby server, or its failover is in progress"))
		case "53100":
			return unavailable(errors.New("the disk of " + database + " is full"))
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgconn.ErrStandbyConnection):
		return unavailable(errors.New("no server of the address accepts writes: a failover is in progress, or the primary server is missing in it"))
	}
	user, isUnavailable := pgfeed.ClassifyError(err, database, s.options.Timeout)
	if isUnavailable {
		return unavailable(user)
	}
	return user
}

// unavailable wraps the reason why the database is unavailable, which ends without action in docsgate.
func unavailable(err error) error { return fmt.Errorf("%w: %w", registry.ErrUnavailable, err) }
