package commands

import (
	"errors"
	"fmt"
	"unicode/utf8"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/keys/pgfeed"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "adopt",
		Short: "Prints SQL that helps to adopt DocsGPT's own keys",
		Long: `
The gate adopts the keys that DocsGPT itself has made with one line of the docsgate options:

	feed docsgpt {env.DOCSGPT_POSTGRES_URI}

It only reads, and needs nothing else. This command prints SQL for DocsGPT's PostgreSQL that makes that better:

  --print-grants ROLE  lets a role read just the columns that the gate needs
  --print-trigger      makes the database say itself when keys have changed, so that the gate looks once in 30 s

Both are to be run by the owner of DocsGPT's tables, may be run again, and say how to take them back.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Use = "adopt --print-grants <role> | --print-trigger"
			cmd.Example = `  $ docsgate adopt --print-grants docsgate | psql "$POSTGRES_URI"
  $ docsgate adopt --print-trigger | psql "$POSTGRES_URI"`
			cmd.Args = usageError(refuseArguments("this command takes no arguments; see --help"))
			cmd.SetFlagErrorFunc(flagError)
			trigger := cmd.Flags().Bool("print-trigger", false, "print the SQL of the trigger")
			role := cmd.Flags().String("print-grants", "", "print the SQL that lets this `role` read")
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				granted := cmd.Flags().Changed("print-grants")
				switch {
				case granted == *trigger:
					return exit(cmd, failf(exitUsage, "name one of --print-grants and --print-trigger; see --help"))
				case *trigger:
					_, err := fmt.Fprint(cmd.OutOrStdout(), pgfeed.TriggerSQL())
					return err
				}
				if err := checkRole(*role); err != nil {
					return exit(cmd, &exitError{exitUsage, err})
				}
				_, err := fmt.Fprint(cmd.OutOrStdout(), pgfeed.GrantSQL(*role))
				return err
			}
		},
	})
}

// checkRole refuses what PostgreSQL would cut off or not take as a name.
func checkRole(role string) error {
	switch {
	case role == "":
		return errors.New("the name of the role is missing")
	case len(role) > 63 || !utf8.ValidString(role):
		return errors.New("a role's name in PostgreSQL has at most 63 bytes, in UTF-8")
	}
	for _, c := range role {
		if c < ' ' || c == 0x7f {
			return errors.New("a role's name has no control characters")
		}
	}
	return nil
}
