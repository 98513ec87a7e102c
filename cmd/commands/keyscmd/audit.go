package keyscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
)

// auditPage is one page of the audit trail.
type auditPage struct {
	Entries []json.RawMessage `json:"entries"`
	Next    uint64            `json:"next_cursor"`
}

func auditCommand() *cobra.Command {
	var (
		where       connFlags
		limit       int
		all, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "audit [KEY]",
		Short: "List changes to keys, newest first",
		Long: `
List the changes to all keys, or to one, newest first: when, by whom, from where, and what. The audit trail never contains a
token.

With --json each entry is one line of JSON, in the format of the API.`,
		Example: `  $ docsgate keys audit
  $ docsgate keys audit "Docs site" --all --json | jq -r 'select(.action == "rotated") | .at'`,
		Args:              cli.Args(0, 1, "name one key by its ID or name, or none for the changes to all keys"),
		ValidArgsFunction: where.completeKeys(),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case limit < 1:
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--limit must be at least 1; use --all to list all changes"))
		case all && cmd.Flags().Changed("limit"):
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--limit and --all are mutually exclusive"))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		query := url.Values{}
		if len(args) > 0 {
			k, err := g.find(ctx, args[0])
			if err != nil {
				return err
			}
			query.Set("key", k.ID)
		}
		rows := terminal.Table{Heading: []string{"WHEN", "WHO", "FROM", "ACTION", "KEY", "NAME", "DETAIL"}}
		out, given := cmd.OutOrStdout(), 0
		for {
			size := pageLimit
			if !all {
				size = min(size, limit-given)
			}
			query.Set("limit", strconv.Itoa(size))
			var page auditPage
			if err := g.Call(ctx, http.MethodGet, "/v1/audit?"+query.Encode(), nil, "", &page); err != nil {
				return err
			}
			for _, raw := range page.Entries {
				var e api.AuditEntry
				if err := json.Unmarshal(raw, &e); err != nil {
					return err
				}
				if asJSON {
					if err := terminal.PrintJSON(out, raw); err != nil {
						return err
					}
					continue
				}
				rows.Add(formatTime(&e.At), e.Actor, e.RemoteAddr, string(e.Action), e.Key, e.Name, e.Detail)
			}
			given += len(page.Entries)
			if page.Next == 0 || len(page.Entries) == 0 || !all && given >= limit {
				if page.Next != 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "Showing the newest %s; use --all to list all.\n", plural(given, "change", "changes"))
				}
				break
			}
			query.Set("cursor", strconv.FormatUint(page.Next, 10))
		}
		if asJSON {
			return nil
		}
		if given == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "There are no changes.")
			return nil
		}
		return rows.Write(out)
	})
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "Maximum number of changes to list")
	cmd.Flags().BoolVar(&all, "all", false, "List all changes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print each change as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
