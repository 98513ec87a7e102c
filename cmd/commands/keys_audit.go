package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// auditPage is one page of the audit trail.
type auditPage struct {
	Entries []json.RawMessage `json:"entries"`
	Next    uint64            `json:"next_cursor"`
}

// auditEntry is one entry of it.
type auditEntry struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	From   string    `json:"from"`
	Action string    `json:"action"`
	Key    string    `json:"key"`
	Name   string    `json:"name"`
	Detail string    `json:"detail"`
}

func auditCommand() *cobra.Command {
	var (
		where       connFlags
		limit       int
		all, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "audit [KEY]",
		Short: "Tells who changed what, the newest first",
		Long: `
Tells the changes of all keys, or of one, the newest first: when, who, from where, and what. There is never a token in it.

With --json each entry is one line of JSON, in the form of the API.`,
		Example: `  $ docsgate keys audit
  $ docsgate keys audit "Docs site" --all --json | jq -r 'select(.action == "rotated") | .at'`,
		Args:              arguments(0, 1, "name one key by its ID or name, or none for the changes of all"),
		ValidArgsFunction: where.completeKeys(),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case limit < 1:
			return exit(cmd, failf(exitUsage, "--limit is 1 or more; --all tells all"))
		case all && cmd.Flags().Changed("limit"):
			return exit(cmd, failf(exitUsage, "--limit and --all exclude each other"))
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
		rows := table{heading: []string{"WHEN", "WHO", "FROM", "ACTION", "KEY", "NAME", "DETAIL"}}
		out, given := cmd.OutOrStdout(), 0
		for {
			size := pageLimit
			if !all {
				size = min(size, limit-given)
			}
			query.Set("limit", strconv.Itoa(size))
			var page auditPage
			if err := g.call(ctx, http.MethodGet, "/v1/audit?"+query.Encode(), nil, "", &page); err != nil {
				return err
			}
			for _, raw := range page.Entries {
				var e auditEntry
				if err := json.Unmarshal(raw, &e); err != nil {
					return err
				}
				if asJSON {
					if err := jsonLine(out, raw); err != nil {
						return err
					}
					continue
				}
				rows.add(moment(&e.At), e.Who, e.From, e.Action, e.Key, e.Name, e.Detail)
			}
			given += len(page.Entries)
			if page.Next == 0 || len(page.Entries) == 0 || !all && given >= limit {
				if page.Next != 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "The newest %s; --all tells all.\n", plural(given, "change", "changes"))
				}
				break
			}
			query.Set("cursor", strconv.FormatUint(page.Next, 10))
		}
		if asJSON {
			return nil
		}
		if given == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "There are no changes yet.")
			return nil
		}
		return rows.write(out)
	})
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "Tell so many changes at most")
	cmd.Flags().BoolVar(&all, "all", false, "Tell all changes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print each change as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
