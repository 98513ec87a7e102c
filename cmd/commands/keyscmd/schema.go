package keyscmd

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/keys/pgstore"
)

func schemaCommand() *cobra.Command {
	var (
		s        schemaChange
		where    connFlags
		database databaseFlags
	)
	cmd := &cobra.Command{
		Use:   "schema [--to VERSION]",
		Short: "Show, upgrade or downgrade the schema of the database",
		Long: `
Show which migrations of its schema a PostgreSQL database has, or migrate it to a version. The database is the one of "feed store" in the
configuration, or the one that --store names. The command connects to it directly, and changes nothing without --to.

Gates upgrade the schema when they start, so --to is only needed for a downgrade. An older version of docsgate works with a newer schema,
unless its release notes say otherwise: then stop all gates, downgrade the schema with the newer version of docsgate, and start the gates
with the older one.

A downgrade is rejected while gates run, and if it would remove data, unless --force is given. Make a backup first: "docsgate keys backup".`,
		Example: `  $ docsgate keys schema
  $ docsgate keys schema --store {env.DOCSGATE_STORE_URI} --to 4`,
		Args: cli.Args(0, 0, "the command takes no arguments: name the version with --to"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case where.Address != "":
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "a gate does not change its schema: name the database with --store or --config"))
		case cmd.Flags().Changed("to") && s.to < 1:
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--to: the first version is 1. To remove everything, drop the schema in PostgreSQL"))
		case s.to > 0 && !s.yes && !terminal.IsTerminal(cmd.InOrStdin()):
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "standard input is not a terminal, so the command cannot ask for confirmation: use --yes "+
				"to change the schema"))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		at, err := schemaLocation(&where, database)
		if err == nil {
			err = s.run(ctx, cmd, at)
		}
		return cli.Exit(cmd, err)
	}
	flags := cmd.Flags()
	flags.Int64Var(&s.to, "to", 0, "Version of the schema to migrate to")
	flags.BoolVar(&s.force, "force", false, "Downgrade although gates run or data is removed")
	flags.BoolVarP(&s.yes, "yes", "y", false, "Do not ask for confirmation")
	database.add(flags)
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// schemaLocation finds the database. Its options in the configuration apply unless --store names it.
func schemaLocation(where *connFlags, database databaseFlags) (caddymodule.StoreLocation, error) {
	if where.Store != "" {
		return database.locate("--store", where.Store)
	}
	return where.Location()
}

// schemaChange is a change of a schema.
type schemaChange struct {
	to         int64 // 0: the schema is only shown
	force, yes bool
}

func (c *schemaChange) run(ctx context.Context, cmd *cobra.Command, at caddymodule.StoreLocation) error {
	if at.File() != "" {
		return cli.Errorf(cli.ExitUsage, "%s is a file: only a PostgreSQL database has a schema. Name it with --store", at.Name())
	}
	database, err := at.Database()
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	schema, err := database.Schema(ctx)
	if err != nil {
		return cli.Errorf(cli.ExitUnreachable, "%w", err)
	}
	if c.to == 0 {
		return printSchema(cmd, at, schema)
	}
	if err := c.check(ctx, database, schema); err != nil {
		return err
	}
	if c.to == schema.Version {
		fmt.Fprintf(cmd.ErrOrStderr(), "The schema of %s has version %d already.\n", at.Name(), c.to)
		return nil
	}
	if !c.yes {
		fmt.Fprintf(cmd.ErrOrStderr(), "Migrate the schema of %s from version %d to %d? [y/N] ", at.Name(), schema.Version, c.to)
		if err := confirm(ctx, cmd.InOrStdin()); err != nil {
			return err
		}
	}
	if err := database.MigrateTo(ctx, c.to); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "The schema of %s was migrated from version %d to %d.\n", at.Name(), schema.Version, c.to)
	return nil
}

// check returns an error if the schema must not be migrated.
func (c *schemaChange) check(ctx context.Context, database *pgstore.Store, schema *pgstore.Schema) error {
	newest := schema.Newest()
	switch {
	case c.to > newest:
		return cli.Errorf(cli.ExitUsage, "--to: this version of docsgate knows the schema up to version %d", newest)
	case schema.Version > newest:
		return cli.Errorf(cli.ExitRejected, "the schema has version %d, and this version of docsgate knows it up to %d: downgrade it with the "+
			"newer version of docsgate", schema.Version, newest)
	case c.to >= schema.Version || c.force:
		return nil
	}
	gates, err := database.Gates(ctx)
	if err != nil {
		return err
	}
	if len(gates) > 0 {
		return cli.Errorf(cli.ExitRejected, "gates that run need the schema: stop %s first. A gate that was killed counts for two minutes; "+
			"--force does not wait for that", terminal.Sanitize(strings.Join(gates, ", ")))
	}
	lost, err := database.Losses(ctx, schema, c.to)
	if err == nil && len(lost) > 0 {
		err = cli.Errorf(cli.ExitRejected, "version %d of the schema lacks %s: make a backup, and use --force to remove that", c.to,
			strings.Join(lost, "; and "))
	}
	return err
}

func printSchema(cmd *cobra.Command, at caddymodule.StoreLocation, schema *pgstore.Schema) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "The schema of %s has version %d. This version of docsgate creates version %d.\n\n", at.Name(), schema.Version, schema.Newest())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tNAME\tAPPLIED")
	for _, m := range schema.Migrations {
		applied := "no"
		if !m.Applied.IsZero() {
			applied = m.Applied.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\n", m.Version, strings.ReplaceAll(m.Name, "_", " "), applied)
	}
	return w.Flush()
}
