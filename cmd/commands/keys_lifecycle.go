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

// stateChange is a command that changes nothing but a key's state.
type stateChange struct {
	verb, done, short, long string
	from                    []string // the states of keys that shells complete
}

var (
	disabling = stateChange{
		verb: "disable", done: "disabled", short: "Refuses a key until it is enabled again",
		long: "Refuses a key from the next request on, until it is enabled again. Answers that are under way end.",
		from: []string{"active", "not_yet_valid", "expired", "unusable"},
	}
	enabling = stateChange{
		verb: "enable", done: "enabled", short: "Lets a disabled key count again",
		long: "Lets a disabled key count again, with the token that it had.",
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

// changed says what was done to a key.
func changed(cmd *cobra.Command, k *keyAnswer, done string, asJSON bool) error {
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
		Short: "Ends a key for ever",
		Long: `
Ends a key for ever: it is refused from the next request on, answers that are under way end, and it cannot be enabled again.
It stays in the list.

At a terminal it asks first, and names the key. Scripts say --yes.`,
		Example: `  $ docsgate keys revoke "Docs site"
  $ docsgate keys revoke key_01k9s8q7v3t2m6n4x5c8b7a9ze --yes`,
		Args:              arguments(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "not_yet_valid", "expired", "unusable"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if !yes && !isTerminal(cmd.InOrStdin()) {
			return exit(cmd, failf(exitUsage, "this is no terminal to ask at: say --yes to revoke the key"))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.find(ctx, args[0])
		if err != nil {
			return err
		}
		if k.State == "revoked" {
			return changed(cmd, k, "revoked already", asJSON)
		}
		if !yes {
			fmt.Fprintf(cmd.ErrOrStderr(), "Revoke the key %s\n  %s, %s, last used %s\nfor ever? [y/N] ",
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
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "Do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

func isTerminal(in io.Reader) bool {
	f, isFile := in.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

// confirm reads a line and returns nil if it says yes.
func confirm(ctx context.Context, in io.Reader) error {
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done(): // the reader ends with the process
		return errors.New("interrupted; nothing was changed")
	case line := <-answer:
		if line == "y" || line == "yes" {
			return nil
		}
		return errors.New("nothing was changed")
	}
}
