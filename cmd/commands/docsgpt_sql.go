package commands

import (
	"errors"
	"fmt"
	"unicode/utf8"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// docsgptSQLCommand returns the subcommand "adopt".
func docsgptSQLCommand() caddycmd.Command {
	return caddycmd.Command{
		Name:  "adopt",
		Short: "Print SQL for DocsGPT's PostgreSQL that \"feed docsgpt\" can use",
		Long: `
Print SQL for DocsGPT's PostgreSQL. The gate uses the agent keys that DocsGPT itself has created with one line of the docsgate
options:

	feed docsgpt {env.DOCSGPT_POSTGRES_URI}

The feed only reads, and works without this SQL. With it the feed needs fewer privileges and fewer queries:

  --print-grants ROLE  grants a role read access to only those columns that the gate needs
  --print-trigger      lets the database notify the gate of changed keys, so that the gate polls only every 30 s

Run either as the owner of DocsGPT's tables. Both can be run repeatedly, and both say how to undo them.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Use = "adopt --print-grants <role> | --print-trigger"
			cmd.Example = `  $ docsgate adopt --print-grants docsgate | psql "$POSTGRES_URI"
  $ docsgate adopt --print-trigger | psql "$POSTGRES_URI"`
			cmd.Args = cli.UsageError(cli.NoArgs("this command takes no arguments; see --help"))
			cmd.SetFlagErrorFunc(cli.FlagError)
			trigger := cmd.Flags().Bool("print-trigger", false, "Print the SQL that creates the trigger")
			role := cmd.Flags().String("print-grants", "", "Print the SQL that grants read access to this `role`")
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				granted := cmd.Flags().Changed("print-grants")
				switch {
				case granted == *trigger:
					return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "name one of --print-grants and --print-trigger; see --help"))
				case *trigger:
					_, err := fmt.Fprint(cmd.OutOrStdout(), pgfeed.TriggerSQL())
					return err
				}
				if err := checkRole(*role); err != nil {
					return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, err))
				}
				_, err := fmt.Fprint(cmd.OutOrStdout(), pgfeed.GrantSQL(*role))
				return err
			}
		},
	}
}

// checkRole rejects a name that PostgreSQL would truncate or reject.
func checkRole(role string) error {
	switch {
	case role == "":
		return errors.New("the name of the role is empty")
	case len(role) > 63 || !utf8.ValidString(role):
		return errors.New("the name of a PostgreSQL role must be UTF-8 of at most 63 bytes")
	}
	for _, c := range role {
		if c < ' ' || c == 0x7f {
			return errors.New("the name of a role must not contain control characters")
		}
	}
	return nil
}
