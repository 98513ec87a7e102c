package keyscmd

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/keys"
)

// checkToken returns an error for a string that is not a token of a gate: tokens are printed without sanitizing.
func checkToken(token, id string) error {
	if keys.HasValidChecksum(token) {
		return nil
	}
	return cli.Errorf(cli.ExitUnreachable, "the token for the key %s does not have the format of a gate's token, so it is not printed: check "+
		"that this is the right gate, and rotate the key",
		terminal.Sanitize(id))
}

// printToken prints a key's new token. If that fails, the token is lost, and the error says so.
func printToken(cmd *cobra.Command, created *key, asJSON bool, what string) error {
	out := cmd.OutOrStdout()
	if created.Token == "" {
		return cli.Errorf(cli.ExitUnreachable, "the response of the gate has no token for the key %s", terminal.Sanitize(created.ID))
	}
	err := checkToken(created.Token, created.ID)
	if err != nil {
		return err
	}
	if err := checkSignSecret(created); err != nil {
		return err
	}
	if asJSON {
		err = terminal.PrintJSON(out, created.raw)
	} else {
		text := created.Token + "\n"
		if created.SignSecret != "" {
			text += created.SignSecret + "\n"
		}
		_, err = io.WriteString(out, text)
	}
	notes := cmd.ErrOrStderr()
	fmt.Fprintf(notes, "Key %s (%s) is %s.\n", terminal.Sanitize(created.ID), terminal.Sanitize(created.Name), what)
	if err != nil {
		return fmt.Errorf("printing the token: %w. It cannot be shown again: rotate the key to get another one", err)
	}
	fmt.Fprintln(notes, "The gate does not store the token, so it cannot be shown again.")
	if created.SignSecret != "" && !asJSON {
		fmt.Fprintln(notes, "The second line is the secret with which your server signs tokens of visitors. It cannot be shown again, either.")
	}
	if created.PreviousTokenExpires != nil {
		fmt.Fprintf(notes, "The previous token stays valid until %s.\n", formatTime(created.PreviousTokenExpires))
	}
	if created.UnusableReason != "" {
		fmt.Fprintf(notes, "The key is not usable yet: %s\n", terminal.Sanitize(created.UnusableReason))
	}
	return nil
}
