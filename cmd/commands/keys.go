package commands

import (
	"errors"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "keys",
		Short: "Works with the keys of the gate",
		Long: `
Makes, lists, rotates, revokes, imports and exports the keys of the gate. A key is a record, the token is the string that a
client presents; the gate keeps only the SHA-256 of it, so a token is shown once, when it is made.

The commands speak with the running gate, over Caddy's admin endpoint: the one that --address names, else the one of the
configuration (--config, or a Caddyfile in this folder), else localhost:2019. If no --address is given and nothing listens
there, they work on the store's file itself: the one that --store names, else the one of the configuration, else
docsgate/keys.db in Caddy's data directory. A file that a gate has open is never touched.

Results go to the standard output, all else to the standard error. A token is printed alone on a line, so that it can be
piped. With --json each result is one line of JSON, in the form of the API. Keys are named by ID, or by their name if only
one has it. Secrets are never taken from the command line.

Exit status: 0 done; 1 failed; 2 wrong use of the command; 3 there is no such key; 4 refused: a value is not valid, or the
key is not in a state for it; 5 the gate or the store cannot be reached.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Use = "keys <command>"
			cmd.Example = `  $ docsgate keys create --name "Docs site" --source 3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44 --expires 90d
  $ docsgate keys list --state active
  $ docsgate keys rotate "Docs site" --grace 7d | wrangler secret put DOCSGPT_KEY
  $ docsgate keys revoke key_01k9s8q7v3t2m6n4x5c8b7a9ze`
			// What stands here by mistake may be a token, so it is not repeated.
			cmd.Args = usageError(refuseArguments("name one of the commands of \"keys\"; see --help"))
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.SetFlagErrorFunc(flagError)
			cmd.AddCommand(hashCommand(), createCommand(), listCommand(), showCommand(), rotateCommand(),
				stateCommand(disabling), stateCommand(enabling), revokeCommand(),
				importCommand(), exportCommand(), auditCommand(), backupCommand())
		},
	})
}

// refuseArguments is cobra.NoArgs for a command to which a secret may be given by mistake: it does not repeat it.
func refuseArguments(sentence string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return errors.New(sentence)
		}
		return nil
	}
}
