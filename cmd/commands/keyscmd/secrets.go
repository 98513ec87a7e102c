package keyscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/internal/duration"
)

func rotateSecretCommand() *cobra.Command {
	var (
		where  connFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "rotate-secret",
		Short: "Encrypt the store again with a new secret",
		Long: `
Encrypt everything in the store again that is not encrypted with the newest secret: DocsGPT keys, secrets for signing, and with a database
the secrets that sign IDs. The secrets are in the file next to the store whose name ends in ".secret", with a database in
"docsgate/store.secret" in Caddy's data directory or in the option "secret" of the feed.

First add the new secret there as the first line, at each gate that uses the store, and keep the earlier one. The gates read the file again
without a reload; a changed variable or file of the option takes effect when the configuration is loaded. All gates can run meanwhile. If the
command is interrupted, run it again. The earlier secret can be removed from all gates when the command says so.`,
		Example: `  $ sed -i "1i docsgate-secret-1 $(openssl rand -base64 32)" keys.db.secret
  $ docsgate keys rotate-secret`,
		Args: cli.Args(0, 0, "the command takes no arguments"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		var raw json.RawMessage
		if err := g.Call(ctx, http.MethodPost, "/v1/secrets/rotate", nil, "", &raw); err != nil {
			return err
		}
		if asJSON {
			return terminal.PrintJSON(cmd.OutOrStdout(), raw)
		}
		var done api.SecretRotation
		if err := json.Unmarshal(raw, &done); err != nil {
			return fmt.Errorf("decoding the response: %w", err)
		}
		return printSecretRotation(cmd, &done)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the result as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// printSecretRotation prints what was encrypted again. What still uses another secret is an error.
func printSecretRotation(cmd *cobra.Command, done *api.SecretRotation) error {
	fmt.Fprintf(cmd.OutOrStdout(), "The store is encrypted with the secret %s. Encrypted again: %d.\n", terminal.Sanitize(done.KeyID), done.Reencrypted)
	if len(done.Remaining) > 0 {
		var text strings.Builder
		for _, id := range slices.Sorted(maps.Keys(done.Remaining)) {
			fmt.Fprintf(&text, "\n%d keys use the secret %s", done.Remaining[id], terminal.Sanitize(id))
		}
		return cli.Errorf(cli.ExitRejected, "not everything was encrypted again: run the command again, and if a secret is missing at the gate, add it:%s",
			text.String())
	}
	if len(done.Retained) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "Keep the earlier secrets for now, and run the command again: something was encrypted with %s meanwhile.\n",
			terminal.Sanitize(strings.Join(done.Retained, ", ")))
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "No other secret is used: earlier ones can be removed from all gates.")
	return nil
}

func rotateIDSecretCommand() *cobra.Command {
	var (
		where       connFlags
		delay       string
		endPrevious bool
		asJSON      bool
	)
	cmd := &cobra.Command{
		Use:   "rotate-id-secret",
		Short: "Replace the secret that signs the IDs of conversations and uploads",
		Long: `
Create a secret that signs the IDs of conversations, uploads and sessions. Earlier secrets stay valid until the IDs that they have signed
expire, after 30 days, so clients notice nothing.

With a database, all gates accept the new secret immediately, and sign with it after the delay, so that a gate that has no connection to the
database for a shorter time knows it, too. With a store file, the secret signs immediately.

If a secret has leaked, --end-previous ends all earlier ones immediately: clients lose their conversations, uploads and sessions.`,
		Example: `  $ docsgate keys rotate-id-secret`,
		Args:    cli.Args(0, 0, "the command takes no arguments"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := duration.Parse(delay); err != nil {
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--delay: %w", err))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		span, err := duration.Parse(delay)
		if err != nil {
			return err
		}
		in := struct {
			Delay       string `json:"delay"`
			EndPrevious bool   `json:"end_previous"`
		}{span.String(), endPrevious}
		var raw json.RawMessage
		if err := g.Call(ctx, http.MethodPost, "/v1/id-secrets/rotate", in, "", &raw); err != nil {
			return err
		}
		if asJSON {
			return terminal.PrintJSON(cmd.OutOrStdout(), raw)
		}
		var created api.IDSecretRotation
		if err := json.Unmarshal(raw, &created); err != nil {
			return fmt.Errorf("decoding the response: %w", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Secret %d signs IDs from now on, or after the delay at gates with a database.\n", created.Number)
		return nil
	})
	cmd.Flags().StringVar(&delay, "delay", "10m", "With a database: how long the secret is only accepted before it signs; at most 7d")
	cmd.Flags().BoolVar(&endPrevious, "end-previous", false, "End earlier secrets immediately: clients lose their conversations")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the result as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
