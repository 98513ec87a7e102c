package keyscmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// stateChange describes a command that changes only the state of a key.
type stateChange struct {
	verb, done, short, long string
	from                    []string // the states of the keys that are offered as completions
}

var (
	disabling = stateChange{
		verb: "disable", done: "disabled", short: "Disable a key until it is enabled again",
		long: "Disable a key. The gate rejects it from the next request on, until it is enabled again. Requests in flight end,\n" +
			"streamed answers included.\n\n" + inKeyFile,
		from: []string{"active", "not_yet_valid", "expired", "unusable"},
	}
	enabling = stateChange{
		verb: "enable", done: "enabled", short: "Enable a disabled key",
		long: "Enable a disabled key. Its token does not change.\n\n" + inKeyFile,
		from: []string{"disabled"},
	}
)

// inKeyFile is the help about keys that the gate has not issued.
const inKeyFile = "A key of DocsGPT is disabled at this gate only, and its agent stays as it is. For a key of a key file, change its state in\n" +
	"the file instead: the gate reloads the file automatically."

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
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys(c.from...),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.findToUpdate(ctx, args[0], disableInFile)
		if err != nil {
			return err
		}
		if k, err = g.change(ctx, k.ID, c.verb); err != nil {
			return err
		}
		return changed(cmd, k, c.done, asJSON)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// changed prints the result of a change to a key.
func changed(cmd *cobra.Command, k *key, done string, asJSON bool) error {
	if asJSON {
		return terminal.PrintJSON(cmd.OutOrStdout(), k.raw)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Key %s (%s) is %s.\n", terminal.Sanitize(k.ID), terminal.Sanitize(k.Name), done)
	return nil
}
