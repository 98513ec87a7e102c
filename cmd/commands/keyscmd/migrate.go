package keyscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/migration"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
)

func migrateCommand() *cobra.Command {
	var (
		m        migrateOptions
		to       string
		database databaseFlags
	)
	cmd := &cobra.Command{
		Use:   "migrate --to STORE",
		Short: "Copy the store to PostgreSQL, or back to a file, while gates run",
		Long: `
Copy all keys, the changes of keys of other feeds, usage, quotas and the audit trail to another store: from a file to a PostgreSQL
database, or back. The copy is compared with the source. The source is only read, and gates that use it keep running.

The source is the store of the running gate, or the one that --store names. STORE is what "feed store" in the configuration accepts:
the path of a file, {env.NAME} or {file.PATH} with the URI of a database, or a URI without a password.

If the target has the keys of an earlier run, only what has changed in the source since is copied. A key that was changed in both is
not, unless the source has revoked it: such keys are listed, and the exit status is 4. So the way without downtime is:

  1. Copy:                            docsgate keys migrate --to {env.DOCSGATE_STORE_URI}
  2. Change "feed store" in the configuration, and reload the gates.
  3. Copy what was changed meanwhile: docsgate keys migrate --store OLD-FILE --to {env.DOCSGATE_STORE_URI}

A file cannot be the target of step 3, since the running gate has it locked. Before a migration to a file, make the database
read-only, so that there are no changes meanwhile.

An interrupted command can be repeated. The secrets in the files next to the store are not copied: copy them before step 2.`,
		Example: `  $ docsgate keys migrate --to {env.DOCSGATE_STORE_URI}
  $ docsgate keys migrate --store {env.DOCSGATE_STORE_URI} --to /var/lib/docsgate/caddy/docsgate/keys.db`,
		Args: cli.Args(0, 0, "name the target with --to"),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		m.notes = cmd.ErrOrStderr()
		err := m.locate(to, database)
		if err == nil {
			err = m.run(ctx)
		}
		if err != nil && ctx.Err() != nil {
			err = errors.New("interrupted: the source was not changed; repeat the command")
		}
		return cli.Exit(cmd, err)
	}
	flags := cmd.Flags()
	flags.StringVar(&to, "to", "", "Store to copy to (required)")
	database.add(flags)
	m.where.Add(cmd)
	completeFlags(cmd, &m.where)
	return cmd
}

// migrateOptions are a migration.
type migrateOptions struct {
	where connFlags                  // the source
	from  *caddymodule.StoreLocation // the source if it is a database that --store names
	to    caddymodule.StoreLocation
	notes io.Writer
}

func (m *migrateOptions) locate(to string, database databaseFlags) (err error) {
	if to == "" {
		return cli.Errorf(cli.ExitUsage, "name the target with --to")
	}
	if m.to, err = database.locate("--to", to); err != nil || m.where.Store == "" {
		return err
	}
	from, err := database.locate("--store", m.where.Store)
	if err == nil && from.File() == "" {
		m.from = &from
	}
	return err
}

// maxRounds is the maximum number of copies of what was changed during the previous one.
const maxRounds = 5

func (m *migrateOptions) run(ctx context.Context) error {
	if m.to.File() == "" { // before the source is read, which may take long
		target, err := openTarget(ctx, m.to)
		if err != nil {
			return err
		}
		if err := target.Close(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "docsgate-migrate-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for round := 1; ; round++ {
		path := filepath.Join(dir, fmt.Sprintf("source-%d.db", round))
		name, err := m.snapshot(ctx, path)
		if err != nil {
			return err
		}
		done, err := m.copy(ctx, path, name)
		if err != nil || done || round == maxRounds {
			return err
		}
	}
}

// snapshot writes a copy of the source to a file, and returns the name of the source for messages.
func (m *migrateOptions) snapshot(ctx context.Context, path string) (name string, err error) {
	if m.from != nil {
		return snapshotDatabase(ctx, *m.from, path)
	}
	gate, err := m.where.Open(ctx, m.notes)
	if err != nil {
		return "", err
	}
	err = writeFile(path, false, func(w io.Writer) error { return gate.Download(ctx, "/v1/backup", w) })
	return gate.Name, errors.Join(err, gate.Close())
}

// snapshotDatabase does not write to the database, which may be read-only.
func snapshotDatabase(ctx context.Context, from caddymodule.StoreLocation, path string) (name string, err error) {
	storage, err := from.Open(ctx)
	if err != nil {
		return "", cli.Errorf(cli.ExitUnreachable, "%w", err)
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	database, ok := storage.(*pgstore.Store)
	if !ok {
		return "", fmt.Errorf("%s is not a database", from.Name())
	}
	copied, err := boltstore.Open(ctx, boltstore.Options{Path: path})
	if err != nil {
		return "", err
	}
	err = database.Snapshot(ctx, func(ctx context.Context, source registry.Source) error {
		if err := registry.Copy(ctx, source, copied); err != nil {
			return err
		}
		_, err := migration.Compare(ctx, source, copied)
		return err
	})
	return "the store " + from.Name(), errors.Join(err, copied.Close())
}

// copy copies a snapshot to the target. done: nothing had to be copied, or nothing more can be.
func (m *migrateOptions) copy(ctx context.Context, path, name string) (done bool, err error) {
	created := false
	if m.to.File() != "" {
		if created, err = createTarget(m.to.File(), path); err != nil {
			return false, err
		}
	}
	source, err := boltstore.Open(ctx, boltstore.Options{Path: path})
	if err != nil {
		return false, fmt.Errorf("the copy of %s cannot be read: %w", name, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openTarget(ctx, m.to)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	counts, err := restore(ctx, source, target, created)
	if err == nil {
		fmt.Fprintf(m.notes, "Copied from %s to %s, and compared: %s.\n", name, m.to.Name(), counts)
		return false, nil
	}
	if !errors.Is(err, registry.ErrNotEmpty) {
		return false, fmt.Errorf("%w; the source was not changed: repeat the command", err)
	}
	changes, err := migration.CatchUp(ctx, source, target)
	switch {
	case errors.Is(err, migration.ErrNotACopy):
		return false, cli.Errorf(cli.ExitRejected, "%s: %w: name an empty store", m.to.Name(), err)
	case err != nil:
		return false, fmt.Errorf("%w; the source was not changed: repeat the command", err)
	}
	return m.report(changes)
}

// restore copies everything to an empty store. copied: it was created as a copy.
func restore(ctx context.Context, from registry.Source, to registry.Storage, copied bool) (migration.Counts, error) {
	if copied {
		return migration.Compare(ctx, from, to)
	}
	if database, ok := to.(*pgstore.Store); ok {
		return database.Restore(ctx, from)
	}
	if err := registry.Copy(ctx, from, to); err != nil {
		return migration.Counts{}, err
	}
	return migration.Compare(ctx, from, to)
}

// report prints what the target has got in addition. done: that was nothing, or the rest cannot be copied.
func (m *migrateOptions) report(c migration.Changes) (done bool, err error) {
	if len(c.Copied)+len(c.Revoked)+len(c.Differ) == 0 {
		fmt.Fprintf(m.notes, "%s has every change of a key in the source.\n", m.to.Name())
		return true, nil
	}
	if len(c.Copied) > 0 {
		fmt.Fprintf(m.notes, "Copied %d keys that were changed in the source since.\n", len(c.Copied))
	}
	if len(c.Revoked) > 0 {
		fmt.Fprintf(m.notes, "Revoked in both, and changed in both otherwise: %s\n", strings.Join(c.Revoked, ", "))
	}
	if len(c.Differ) > 0 {
		return true, cli.Errorf(cli.ExitRejected, "these keys were changed in the source and in the target, and were not copied: %s. Compare their "+
			"audit trails, and repeat the changes of the source in the target if necessary", strings.Join(c.Differ, ", "))
	}
	return false, nil
}
