package pgstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationTable is the table in which goose stores the versions of the schema.
const migrationTable = "migrations"

// migrate creates the schema, or upgrades it. An advisory lock of the database makes other gates wait. The schema may be newer than this
// version: whether this version can use it is decided by the format of its rows.
func (s *Store) migrate(ctx context.Context) error {
	return s.withMigrations(ctx, true, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// MigrateTo upgrades or downgrades the schema to a version. 0 removes everything, the keys included. The store need not be connected. A
// downgrade removes what Losses says, and gates that are running fail.
func (s *Store) MigrateTo(ctx context.Context, version int64) error {
	return s.userError(s.withMigrations(ctx, true, func(p *goose.Provider) error {
		applied, err := p.GetDBVersion(ctx)
		switch {
		case err != nil:
		case version < applied:
			_, err = p.DownTo(ctx, version)
		default:
			_, err = p.UpTo(ctx, version)
		}
		return err
	}))
}

// withMigrations calls f with the migrations of the schema. With create it creates the schema if it does not exist.
func (s *Store) withMigrations(ctx context.Context, create bool, f func(*goose.Provider) error) error {
	config := s.address.Config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // a migration is several statements
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	if create {
		if err := createSchema(ctx, db, s.options.Schema); err != nil {
			return err
		}
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	files := s.options.migrations
	if files == nil {
		if files, err = fs.Sub(migrations, "migrations"); err != nil {
			return err
		}
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker),
		goose.WithTableName(migrationTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("preparing the migrations: %w", err)
	}
	if err := f(p); err != nil {
		if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
			return partial.Err
		}
		return err
	}
	return nil
}

// createSchema creates a schema if it does not exist. It does not need the permission for that if it exists.
func createSchema(ctx context.Context, db *sql.DB, schema string) error {
	var exists bool
	if err := db.QueryRowContext(ctx, "SELECT to_regnamespace($1) IS NOT NULL", schema).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize())
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" { // another gate has created it at the same time
		return nil
	}
	return err
}
