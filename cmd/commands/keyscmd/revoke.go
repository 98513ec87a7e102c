package keyscmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

func revokeCommand() *cobra.Command {
	var (
		where       connFlags
		yes, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "revoke KEY",
		Short: "Revoke a key permanently",
		Long: `
Revoke a key that the gate has issued permanently. The gate rejects it from the next request on, and it cannot be enabled again.
Requests in flight end, streamed answers included. The key stays in the list until it is deleted: see "keys delete".

Keys of other feeds are revoked where they come from. To revoke a key of a key file, remove it from the file, or set its state to
disabled there: the gate reloads the file automatically, and rejects the key from the next request on. To revoke an agent key of
DocsGPT, delete it in DocsGPT.

At a terminal the command shows the key and asks for confirmation. Scripts pass --yes.`,
		Example: `  $ docsgate keys revoke "Docs site"
  $ docsgate keys revoke key_01k9s8q7v3t2m6n4x5c8b7a9ze --yes`,
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "not_yet_valid", "expired", "unusable"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if !yes && !terminal.IsTerminal(cmd.InOrStdin()) {
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "standard input is not a terminal, so the command cannot ask for confirmation: use --yes to revoke the key"))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.findIssued(ctx, args[0])
		if err != nil {
			return err
		}
		if k.State == "revoked" {
			return changed(cmd, k, "already revoked", asJSON)
		}
		if !yes {
			fmt.Fprintf(cmd.ErrOrStderr(), "Revoke the key %s\n  %s, %s, last used %s\npermanently? [y/N] ",
				terminal.Sanitize(k.Name), terminal.Sanitize(k.ID), terminal.Sanitize(k.State), relativeTime(k.LastUsed, time.Now()))
			if err := confirm(ctx, cmd.InOrStdin()); err != nil {
				return err
			}
		}
		if k, err = g.change(ctx, k.ID, "revoke"); err != nil {
			return err
		}
		return changed(cmd, k, "revoked", asJSON)
	})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "Do not ask for confirmation")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// confirm reads a line and returns nil if it is "y" or "yes".
func confirm(ctx context.Context, in io.Reader) error {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(in).ReadString('\n')
		line <- strings.ToLower(strings.TrimSpace(text))
	}()
	select {
	case <-ctx.Done(): // the goroutine ends with the process
		return errors.New("interrupted; nothing was changed")
	case text := <-line:
		if text == "y" || text == "yes" {
			return nil
		}
		return errors.New("nothing was changed")
	}
}
