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
Commands for the keys of the gate. A key is a record, the token is the string that a client presents; the gate keeps only
the SHA-256 of it.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Use = "keys <command>"
			// What stands here by mistake may be a token, so it is not repeated.
			cmd.Args = refuseArguments("name one of the commands of \"keys\"; see --help")
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.AddCommand(hashCommand())
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
