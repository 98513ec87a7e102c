package keyscmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/keys"
)

var errOnCommandLine = errors.New("the token must not be on the command line, where it stays in the shell history and is " +
	"visible in the process list: pipe it into this command, or run the command without arguments and type it")

var errBadChecksum = errors.New("the token has the format of the gate's own tokens but a wrong checksum, so the gate would never accept it: copy it again")

func hashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Print the SHA-256 of a token for a key file",
		Long: `
Read one token from standard input and print its SHA-256 in lower-case hex digits, which is the value of the field sha256 of a
key in a key file. One line end after the token is ignored. At a terminal the command prompts for the token and does not echo it.

The token itself is never printed, and never read from the command line.`,
		Example: `  $ docsgate keys hash < token.txt
  $ pass show docs-site | docsgate keys hash
  $ docsgate keys hash
  Token: `,
		Args: cli.UsageError(cli.NoArgs(errOnCommandLine.Error())),
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := cli.ReadToken(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, err))
			}
			if keys.HasBadChecksum(token) {
				return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, errBadChecksum))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), keys.DigestOf(token).Hex())
			return err
		},
	}
	// pflag quotes unknown flags, and a token may begin with a dash.
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, _ error) error {
		return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, errOnCommandLine))
	})
	return cmd
}
