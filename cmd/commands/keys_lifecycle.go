package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// stateChange describes a command that changes only the state of a key.
type stateChange struct {
	verb, done, short, long string
	from                    []string // the states of the keys that are offered as completions
}

var (
	disabling = stateChange{
		verb: "disable", done: "disabled", short: "Disable a key until it is enabled again",
		long: "Disable a key. The gate rejects it from the next request on, until it is enabled again. Requests in flight are not interrupted:\n" +
			"a streamed answer continues to its regular end.",
		from: []string{"active", "not_yet_valid", "expired", "unusable"},
	}
	enabling = stateChange{
		verb: "enable", done: "enabled", short: "Enable a disabled key",
		long: "Enable a disabled key. Its token does not change.",
		from: []string{"disabled"},
	}
)

func stateCommand(c stateChange) *cobra.Command {
	var (
		where  connFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:               c.verb + " KEY",
		Short:             c.short,
		Long:              "\n" + c.long,
		Example:           `  $ docsgate keys ` + c.verb + ` "Docs site"`,
		Args:              arguments(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys(c.from...),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.find(ctx, args[0])
		if err != nil {
			return err
		}
		if k, err = g.change(ctx, k.ID, c.verb); err != nil {
			return err
		}
		return changed(cmd, k, c.done, asJSON)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// changed prints the result of a change to a key.
func changed(cmd *cobra.Command, k *keyResponse, done string, asJSON bool) error {
	if asJSON {
		return jsonLine(cmd.OutOrStdout(), k.raw)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Key %s (%s) is %s.\n", sanitize(k.ID), sanitize(k.Name), done)
	return nil
}

func revokeCommand() *cobra.Command {
	var (
		where       connFlags
		yes, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "revoke KEY",
		Short: "Revoke a key permanently",
		Long: `
Revoke a key permanently. The gate rejects it from the next request on, and it cannot be enabled again. Requests in flight are
not interrupted: a streamed answer continues to its regular end. The key stays in the list.

At a terminal the command shows the key and asks for confirmation. Scripts pass --yes.`,
		Example: `  $ docsgate keys revoke "Docs site"
  $ docsgate keys revoke key_01k9s8q7v3t2m6n4x5c8b7a9ze --yes`,
		Args:              arguments(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "not_yet_valid", "expired", "unusable"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if !yes && !isTerminal(cmd.InOrStdin()) {
			return exit(cmd, failf(exitUsage, "standard input is not a terminal, so the command cannot ask for confirmation: use --yes to revoke the key"))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.find(ctx, args[0])
		if err != nil {
			return err
		}
		if k.State == "revoked" {
			return changed(cmd, k, "already revoked", asJSON)
		}
		if !yes {
			fmt.Fprintf(cmd.ErrOrStderr(), "Revoke the key %s\n  %s, %s, last used %s\npermanently? [y/N] ",
				sanitize(k.Name), sanitize(k.ID), sanitize(k.State), relativeTime(k.Used, time.Now()))
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
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

func isTerminal(in io.Reader) bool {
	f, isFile := in.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
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
