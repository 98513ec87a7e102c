package keyscmd

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// usedSource is a source of DocsGPT with the number of keys that can query it.
type usedSource struct {
	source
	Keys uint64 `json:"keys"`
}

func sourcesCommand() *cobra.Command {
	var (
		where  connFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "sources",
		Short: "List the sources of DocsGPT by name",
		Long: `
List the sources of DocsGPT that the gate can see with its credential, with the ID that --source takes and the number of keys, of all
feeds and in all states, that can query them. The gate must be running.

With --json each source is one line of JSON.`,
		Example: `  $ docsgate keys sources
  $ docsgate keys sources --json | jq -r 'select(.name == "Handbook") | .id'`,
		Args: cli.UsageError(cli.NoArgs("unexpected argument: \"keys list --source ID\" lists the keys of a source")),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		var all struct {
			Sources []usedSource `json:"sources"`
		}
		if err := g.Call(ctx, http.MethodGet, "/v1/sources", nil, "", &all); err != nil {
			return err
		}
		rows := terminal.Table{Heading: []string{"ID", "NAME", "KEYS"}}
		for _, s := range all.Sources {
			var page keyPage
			query := url.Values{"source": {s.ID}, "limit": {"1"}}
			if err := g.Call(ctx, http.MethodGet, "/v1/keys?"+query.Encode(), nil, "", &page); err != nil {
				return err
			}
			s.Keys = uint64(max(0, page.Total))
			if !asJSON {
				rows.Add(s.ID, s.Name, formatCount(s.Keys))
				continue
			}
			line, err := json.Marshal(s)
			if err != nil {
				return err
			}
			if err := terminal.PrintJSON(cmd.OutOrStdout(), line); err != nil {
				return err
			}
		}
		if asJSON {
			return nil
		}
		return rows.Write(cmd.OutOrStdout())
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print each source as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
