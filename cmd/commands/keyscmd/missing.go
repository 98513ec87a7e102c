package keyscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/keys"
)

var missingKeys = recordList[api.MissingKey]{
	path: "/v1/missing-keys", field: "keys", one: "missing key", more: "missing keys", order: "first",
	heading: []string{"ID", "CHANGED FIELDS", "CHANGED"},
	row: func(k *api.MissingKey) []string {
		return []string{k.ID, strings.Join(k.Overrides, ", "), formatTime(&k.Changed)}
	},
}

func missingCommand() *cobra.Command {
	var (
		where  connFlags
		list   listFlags
		remove []string
	)
	cmd := &cobra.Command{
		Use:   "missing",
		Short: "List or remove the changes of keys that no feed has any more",
		Long: `
List the keys whose state or policy was changed here, and that no feed has any more, for example because their agents were deleted in
DocsGPT. The changes apply again when a key returns. At most 10,000 are stored.

With --remove the changes of a key are removed: if the key returns, it is as in its feed, enabled and without the policy. The audit
trail records what was removed. The gate must be running, and all of its feeds must be loaded.

With --json each key is one line of JSON, in the format of the API.`,
		Example: `  $ docsgate keys missing
  $ docsgate keys missing --remove agent_6e0c6a14-5d0f-4b8e-9a57-2f1c3d4b5a69`,
		Args: cli.Args(0, 0, "this command takes no arguments: name keys with --remove"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		for _, id := range remove {
			if !keys.IsValidID(id) {
				// The value is not repeated: it may be a secret by mistake.
				return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--remove takes the IDs of keys"))
			}
		}
		return cli.Exit(cmd, list.check(cmd, missingKeys.more))
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		if len(remove) == 0 {
			return missingKeys.print(ctx, g, cmd, url.Values{}, &list)
		}
		for _, id := range remove {
			var removed json.RawMessage
			if err := g.Call(ctx, http.MethodDelete, missingKeys.path+"/"+url.PathEscape(id), nil, "", &removed); err != nil {
				return err
			}
			if list.asJSON {
				if err := terminal.PrintJSON(cmd.OutOrStdout(), removed); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "The changes of the key %s are removed.\n", terminal.Sanitize(id))
		}
		return nil
	})
	cmd.Flags().StringSliceVar(&remove, "remove", nil, "ID of a key whose changes are removed; repeat the flag, or separate IDs with commas")
	list.add(cmd, missingKeys.one, missingKeys.more)
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
