package keyscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
)

func originsCommand() *cobra.Command {
	var (
		where         connFlags
		adopt, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "origins KEY",
		Short: "List the web origins that a key was used on, and restrict it to them",
		Long: `
List the origins of the pages that a key was used on since the gate was started, most frequent first. The gate records them if the site
has the option "learn_origins".

With --adopt they become the origins of the key: other pages can no longer use it, and neither can programs that send no Origin. Read
the list first, since a program can send any origin. The origin null is not adopted.

With --json the list, or with --adopt the key, is one line of JSON, in the format of the API.`,
		Example: `  $ docsgate keys origins "Docs site"
  $ docsgate keys origins "Docs site" --adopt`,
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys(),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.find(ctx, args[0])
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := g.Call(ctx, http.MethodGet, keyPath(k.ID)+"/origins", nil, "", &raw); err != nil {
			return err
		}
		var list api.OriginList
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		switch {
		case adopt:
			return g.adoptOrigins(ctx, cmd, k, &list, asJSON)
		case asJSON:
			return terminal.PrintJSON(cmd.OutOrStdout(), raw)
		}
		return printOrigins(cmd, &list)
	})
	cmd.Flags().BoolVar(&adopt, "adopt", false, "Restrict the key to these origins")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the result as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

func printOrigins(cmd *cobra.Command, list *api.OriginList) error {
	if len(list.Origins) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), `No origins are recorded. The site needs the option "learn_origins".`)
		return nil
	}
	rows := terminal.Table{Heading: []string{"ORIGIN", "REQUESTS", "FIRST", "LAST"}}
	for _, u := range list.Origins {
		rows.Add(u.Origin, strconv.FormatUint(u.Requests, 10), formatTime(&u.First), formatTime(&u.Last))
	}
	if list.Dropped {
		fmt.Fprintln(cmd.ErrOrStderr(), "There were more origins than the gate records; those with the fewest requests are missing.")
	}
	return rows.Write(cmd.OutOrStdout())
}

// adoptOrigins restricts a key to the origins in a list.
func (g *client) adoptOrigins(ctx context.Context, cmd *cobra.Command, k *key, list *api.OriginList, asJSON bool) error {
	origins := make([]string, 0, len(list.Origins))
	for _, u := range list.Origins {
		if u.Origin != "null" {
			origins = append(origins, u.Origin)
		}
	}
	if len(origins) == 0 {
		return cli.Errorf(cli.ExitRejected, "there are no origins to adopt")
	}
	if _, err := g.findToUpdate(ctx, k.ID, changeInFile); err != nil {
		return err
	}
	var updated key
	if err := g.Call(ctx, http.MethodPatch, keyPath(k.ID), map[string]any{"origins": origins}, "", &updated); err != nil {
		return err
	}
	return changed(cmd, &updated, "updated", asJSON)
}
