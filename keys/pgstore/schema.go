package pgstore

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Migration is a step between two versions of the schema.
type Migration struct {
	Version int64
	Name    string
	Applied time.Time // zero: it is not applied
}

// Schema is the schema of a database.
type Schema struct {
	Version    int64       // 0: it does not exist
	Migrations []Migration // that this version of docsgate knows, the first one first
}

// Newest returns the version of the schema that this version of docsgate creates.
func (s *Schema) Newest() int64 { return s.Migrations[len(s.Migrations)-1].Version }

// Schema returns the schema of the database. The store need not be connected, and nothing is changed.
func (s *Store) Schema(ctx context.Context) (*Schema, error) {
	schema := new(Schema)
	exists, err := s.hasSchema(ctx)
	if err == nil {
		err = s.withMigrations(ctx, exists, func(p *goose.Provider) error { return schema.read(ctx, p, exists) })
	}
	if err != nil {
		return nil, s.userError(err)
	}
	return schema, nil
}

func (s *Schema) read(ctx context.Context, p *goose.Provider, exists bool) error {
	for _, source := range p.ListSources() {
		_, name, _ := strings.Cut(strings.TrimSuffix(path.Base(source.Path), path.Ext(source.Path)), "_")
		s.Migrations = append(s.Migrations, Migration{Version: source.Version, Name: name})
	}
	if !exists {
		return nil
	}
	var err error
	if s.Version, err = p.GetDBVersion(ctx); err != nil {
		return err
	}
	status, err := p.Status(ctx)
	for i := range status {
		s.Migrations[i].Applied = status[i].AppliedAt
	}
	return err
}

// hasSchema reports whether the table with the version of the schema exists.
func (s *Store) hasSchema(ctx context.Context) (exists bool, err error) {
	err = s.direct(ctx, func(conn *pgx.Conn) error {
		table := pgx.Identifier{s.options.Schema, migrationTable}.Sanitize()
		return conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&exists)
	})
	return exists, err
}

// direct calls f with a connection of its own, which needs no tables.
func (s *Store) direct(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.ConnectConfig(ctx, s.address.Config.Copy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return f(conn)
}

// loss is what the downgrade of a migration removes, unless its query returns false. The zero value is nothing that matters: a later upgrade
// creates it again.
type loss struct{ what, query string }

// losses has all migrations whose downgrade does not remove everything that they have created.
var losses = map[int64]loss{
	2: {},
	3: {
		"the secrets that sign IDs, so clients lose their conversations and uploads, and which conversations are blocked",
		"SELECT EXISTS (SELECT FROM id_secrets) OR EXISTS (SELECT FROM blocked_conversations)",
	},
	4: {"the sessions of the console, whose users have to log in again", "SELECT EXISTS (SELECT FROM sessions WHERE expires > now())"},
	5: {},
	6: {"the usage of keys over time", "SELECT EXISTS (SELECT FROM usage_series)"},
}

// Losses returns what a downgrade to a version would remove now, for operators.
func (s *Store) Losses(ctx context.Context, schema *Schema, version int64) (lost []string, err error) {
	err = s.direct(ctx, func(conn *pgx.Conn) error {
		for _, m := range schema.Migrations {
			if m.Version <= version || m.Version > schema.Version {
				continue
			}
			l, known := losses[m.Version]
			lossy := !known
			if l.query != "" {
				if err := conn.QueryRow(ctx, l.query).Scan(&lossy); err != nil {
					return err
				}
			}
			if lossy && !known {
				l.what = fmt.Sprintf("what version %d (%s) has added", m.Version, m.Name)
			}
			if lossy {
				lost = append(lost, l.what)
			}
		}
		return nil
	})
	return lost, s.userError(err)
}

// Gates returns the names of the gates that are running, or that have ended within two minutes without saying so. Gates that are older than
// version 3 of the schema are not known.
func (s *Store) Gates(ctx context.Context) (names []string, err error) {
	err = s.direct(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT DISTINCT name FROM gates WHERE seen > now() - $1::interval ORDER BY name", gateTimeout)
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == "42P01" { // an older schema
		return nil, nil
	}
	return names, s.userError(err)
}
