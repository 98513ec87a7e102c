package keyscmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/gateclient"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/internal/duration"
)

func rotateCommand() *cobra.Command {
	var (
		where  connFlags
		grace  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "rotate KEY [--grace DURATION]",
		Short: "Replace the token of a key and print the new one",
		Long: `
Replace the token of a key and print the new token alone on standard output. The ID, the binding and everything else stay the
same. The previous token stays valid for the grace period, at most 30 days (30d); without --grace the gate rejects it from the
next request on. "keys show" shows whether the previous token is still used.`,
		Example: `  $ docsgate keys rotate "Docs site" --grace 7d
  $ docsgate keys rotate key_01k9s8q7v3t2m6n4x5c8b7a9ze > token.txt`,
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "expired", "not_yet_valid"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := duration.Parse(grace); err != nil {
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--grace: %w", err))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.findIssued(ctx, args[0])
		if err != nil {
			return err
		}
		span, err := duration.Parse(grace)
		if err != nil {
			return err
		}
		var created key
		in := struct {
			Grace string `json:"grace"`
		}{span.String()}
		err = g.Call(ctx, http.MethodPost, keyPath(k.ID)+"/rotate", in, uuid.NewString(), &created)
		if broken := (*gateclient.UncertainError)(nil); errors.As(err, &broken) {
			return fmt.Errorf("%w\nThe key may have a new token now, which was not printed: see \"keys show %s\", and rotate it "+
				"again", err, terminal.Sanitize(k.ID))
		}
		if err != nil {
			return err
		}
		return printToken(cmd, &created, asJSON, "rotated")
	})
	cmd.Flags().StringVar(&grace, "grace", "0s", "Grace period: how long the previous token stays valid, such as 24h or 7d; at most 30d")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key, with the token, as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

func endGraceCommand() *cobra.Command {
	var (
		where  connFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "end-grace KEY",
		Short: "End the grace period of a rotated key early",
		Long: `
End the grace period of the previous tokens of a key. The gate rejects them from the next request on; the current token stays valid.
"keys show" shows whether the previous token is still used.`,
		Example:           `  $ docsgate keys end-grace "Docs site"`,
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "expired", "not_yet_valid", "unusable"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.findIssued(ctx, args[0])
		if err != nil {
			return err
		}
		had := k.PreviousTokenExpires != nil
		if k, err = g.change(ctx, k.ID, "end-grace"); err != nil {
			return err
		}
		if !had && !asJSON {
			return changed(cmd, k, "unchanged: it has no previous token that is valid", false)
		}
		return changed(cmd, k, "valid only with its current token", asJSON)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
