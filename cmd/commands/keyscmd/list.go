package keyscmd

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/policy"
)

// keyStates are the states of a key, as in the API's filter.
var keyStates = []string{"active", "disabled", "not_yet_valid", "expired", "revoked", "unusable"}

func listCommand() *cobra.Command {
	var (
		where                      connFlags
		text, state, source, feeds string
		order                      string
		limit                      int
		all, asJSON                bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first or in another order",
		Long: `
List the keys of all feeds, newest first or in the order of --sort. At a terminal long names are truncated to fit. Control characters and characters that
change the direction of text are shown as <U+202E>.

With --json each key is one line of JSON, in the format of the API.`,
		Example: `  $ docsgate keys list --state active --query docs
  $ docsgate keys list --sort expires
  $ docsgate keys list --sort=-used --limit 10
  $ docsgate keys list --all --json | jq -r 'select(.last_used == null) | .id'`,
		Args: cli.Args(0, 0, "this command takes no arguments: search with --query"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case state != "" && !slices.Contains(keyStates, state):
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--state must be one of %s", strings.Join(keyStates, ", ")))
		case !isSortName(order):
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--sort must be one of %s", strings.Join(keyindex.SortNames(), ", ")))
		case limit < 1:
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--limit must be at least 1; use --all to list all keys"))
		case all && cmd.Flags().Changed("limit"):
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--limit and --all are mutually exclusive"))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		for name, value := range map[string]string{"q": text, "state": state, "source": source, "feed": feeds} {
			if value != "" {
				query.Set(name, value)
			}
		}
		filtered := len(query) > 0 // before the order and the parameters of pagination are added
		if order != "" {
			query.Set("sort", order)
		}
		most := limit
		if all {
			most = 0
		}
		shown, now := 0, time.Now()
		rows := terminal.Table{Heading: []string{"ID", "NAME", "STATE", "KIND", "KEY", "BOUND TO", "LAST USED", "24 H", "EXPIRES"}}
		out := cmd.OutOrStdout()
		total, err := g.listed(ctx, query, most, func(k *key) error {
			shown++
			if asJSON {
				return terminal.PrintJSON(out, k.raw)
			}
			expires := "never"
			if k.Expires != nil {
				expires = k.Expires.UTC().Format(time.DateOnly)
			}
			kind := "-"
			if k.Kind != policy.AnyKind {
				kind = k.Kind.String()
			}
			rows.Add(k.ID, k.Name, k.State, kind, k.Masked, boundTo(k), relativeTime(k.LastUsed, now), formatCount(sum(k.Requests)), expires)
			return nil
		})
		if err != nil {
			return err
		}
		if !asJSON {
			if shown > 0 {
				if err := rows.Write(out); err != nil {
					return err
				}
			} else if filtered {
				fmt.Fprintln(cmd.ErrOrStderr(), "No keys match.")
			} else {
				fmt.Fprintln(cmd.ErrOrStderr(), `There are no keys yet: create one with "keys create".`)
			}
		}
		if shown < total {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d of %s; use --all to list all.\n", shown, plural(total, "key", "keys"))
		}
		return nil
	})
	flags := cmd.Flags()
	flags.StringVarP(&text, "query", "q", "", "Only keys with this text in their name, ID, source or masked token")
	flags.StringVar(&state, "state", "", "Only keys in this state: "+strings.Join(keyStates, ", "))
	flags.StringVar(&source, "source", "", "Only keys that are bound to the source with this ID")
	flags.StringVar(&order, "sort", "", "Order, reversed after a minus sign: created (newest first), name, expires (earliest first), used (last used first)")
	flags.StringVar(&feeds, "feed", "", "Only keys of the feed with this name")
	flags.IntVarP(&limit, "limit", "n", 50, "Maximum number of keys to list")
	flags.BoolVar(&all, "all", false, "List all keys")
	flags.BoolVar(&asJSON, "json", false, "Print each key as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// isSortName reports whether a text is the name of an order, or empty.
func isSortName(text string) bool {
	_, _, ok := keyindex.ParseSort(text)
	return ok
}
