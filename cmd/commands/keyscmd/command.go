package keyscmd

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

// Command returns the subcommand "keys".
func Command() caddycmd.Command {
	return caddycmd.Command{
		Name:  "keys",
		Short: "Manage the keys of the gate",
		Long: `
Create, list, update, rotate, revoke, delete, import and export the keys of the gate. A key is a record; the token is the string that a client
presents. The gate stores only the SHA-256 of the token, so a token is shown once, when it is created.

The commands connect to the running gate over Caddy's admin endpoint. Its address is the one that --address names, else the
one in the configuration (--config, or the Caddyfile in the current directory), else localhost:2019. If --address is not given
and nothing listens there, the commands open the store directly: the file or database that --store names, else the one in the
configuration, else docsgate/keys.db in Caddy's data directory. They never open a file that a running gate has open.

Results are written to standard output, everything else to standard error. A token is printed alone on a line, so that it can
be piped. With --json each result is one line of JSON, in the format of the API. KEY is the ID of a key, or its name if only
one key has that name. Secrets are never read from the command line.

Exit status: 0 success; 1 failure; 2 usage error; 3 key not found; 4 rejected (invalid value or state); 5 the gate or the
store is not reachable.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Use = "keys <command>"
			cmd.Example = `  $ docsgate keys create --name "Docs site" --source 3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44 --expires 90d
  $ docsgate keys list --state active
  $ docsgate keys rotate "Docs site" --grace 7d | wrangler secret put DOCSGPT_KEY
  $ docsgate keys revoke key_01k9s8q7v3t2m6n4x5c8b7a9ze`
			// An argument here may be a token by mistake, so the error does not repeat it.
			cmd.Args = cli.UsageError(cli.NoArgs("unknown command: name one of the subcommands of \"keys\"; see --help"))
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.SetFlagErrorFunc(cli.FlagError)
			cmd.AddCommand(hashCommand(), checkCommand(), sourcesCommand(),
				createCommand(), listCommand(), showCommand(), updateCommand(), rotateCommand(), endGraceCommand(),
				signCommand(), rotateSignSecretCommand(), endSignGraceCommand(), invalidateVisitorTokensCommand(),
				stateCommand(disabling), stateCommand(enabling), revokeCommand(), deleteCommand(),
				importCommand(), exportCommand(), auditCommand(), usageCommand(), rejectionsCommand(), originsCommand(), missingCommand(), backupCommand(), migrateCommand(), schemaCommand(),
				rotateSecretCommand(), rotateIDSecretCommand())
		},
	}
}
