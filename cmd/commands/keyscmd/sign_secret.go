package keyscmd

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/gateclient"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/visitortoken"
)

func rotateSignSecretCommand() *cobra.Command {
	var (
		where  connFlags
		grace  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "rotate-sign-secret KEY [--grace DURATION]",
		Short: "Create or replace the secret that signs tokens of visitors, and print it",
		Long: `
Create a secret with which your server signs tokens of the visitors of a key, and print it alone on standard output. The store keeps it
encrypted, and it cannot be shown again. Earlier secrets of the key stay valid for the grace period, at most 30 days (30d); without
--grace the tokens that they have signed are rejected from the next request on. At most four secrets are valid at the same time.

The key accepts signed tokens if its policy says so: "keys update KEY --visitors optional" or required.

` + signingInKeyFile,
		Example: `  $ docsgate keys rotate-sign-secret "Docs site" > sign-secret.txt
  $ docsgate keys rotate-sign-secret "Docs site" --grace 1d | wrangler secret put DOCS_SIGN_SECRET`,
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
		k, err := g.findToUpdate(ctx, args[0], changeInFile)
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
		err = g.Call(ctx, http.MethodPost, keyPath(k.ID)+"/sign-secrets", in, uuid.NewString(), &created)
		if broken := (*gateclient.UncertainError)(nil); errors.As(err, &broken) {
			return fmt.Errorf("%w\nThe key may have a new secret now, which was not printed: see \"keys show %s\", and create another one",
				err, terminal.Sanitize(k.ID))
		}
		if err != nil {
			return err
		}
		return printSignSecret(cmd, &created, asJSON)
	})
	cmd.Flags().StringVar(&grace, "grace", "0s", "Grace period: how long earlier secrets stay valid, such as 1h or 1d; at most 30d")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key, with the secret, as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// signingInKeyFile is the help about keys that the gate has not issued.
const signingInKeyFile = `The secrets of a key of DocsGPT are stored by the ID of the key. For a key of a key file, change "sign_secret" and
"generation" in the file instead.`

// checkSignSecret returns an error for a secret that is not one of a gate, since secrets are printed without sanitizing. None is valid.
func checkSignSecret(k *key) error {
	raw, err := base64.RawURLEncoding.DecodeString(k.SignSecret)
	if k.SignSecret == "" || err == nil && len(raw) >= visitortoken.MinSecretLength {
		return nil
	}
	return cli.Errorf(cli.ExitUnreachable, "the secret for the key %s does not have the format of a gate's secret, so it is not printed: check "+
		"that this is the right gate", terminal.Sanitize(k.ID))
}

// printSignSecret prints a new secret.
func printSignSecret(cmd *cobra.Command, created *key, asJSON bool) error {
	if created.SignSecret == "" {
		return cli.Errorf(cli.ExitUnreachable, "the response of the gate has no secret for the key %s", terminal.Sanitize(created.ID))
	}
	err := checkSignSecret(created)
	if err != nil {
		return err
	}
	if asJSON {
		err = terminal.PrintJSON(cmd.OutOrStdout(), created.raw)
	} else {
		_, err = io.WriteString(cmd.OutOrStdout(), created.SignSecret+"\n")
	}
	notes := cmd.ErrOrStderr()
	if err != nil {
		return fmt.Errorf("printing the secret: %w. It cannot be shown again: create another one", err)
	}
	fmt.Fprintf(notes, "Key %s (%s) has a new secret that signs tokens of visitors. It cannot be shown again.\n",
		terminal.Sanitize(created.ID), terminal.Sanitize(created.Name))
	if len(created.SignSecrets) > 1 {
		fmt.Fprintf(notes, "Earlier secrets stay valid until %s, or until their own end.\n", formatTime(created.SignSecrets[1].Expires))
	}
	if created.Visitors == 0 {
		fmt.Fprintln(notes, "The key does not accept signed tokens yet: see --visitors of \"keys update\".")
	}
	if created.UnusableReason != "" {
		fmt.Fprintf(notes, "The secret is not usable yet: %s\n", terminal.Sanitize(created.UnusableReason))
	}
	return nil
}

func endSignGraceCommand() *cobra.Command {
	return signingChangeCommand(&cobra.Command{
		Use:   "end-sign-grace KEY",
		Short: "End the grace period of replaced secrets for signing early",
		Long: `
End the grace period of the replaced secrets of a key. Tokens of visitors that they have signed are rejected from the next request on; the
current secret stays valid.

` + signingInKeyFile,
		Example: `  $ docsgate keys end-sign-grace "Docs site"`,
	}, "sign-secrets/end-grace", "valid only with its current secret for signing")
}

func invalidateVisitorTokensCommand() *cobra.Command {
	return signingChangeCommand(&cobra.Command{
		Use:   "invalidate-visitor-tokens KEY",
		Short: "Invalidate all signed tokens of a key immediately",
		Long: `
Increase the generation of a key: all tokens that were signed for its visitors are rejected from now on, and their requests in flight end,
streamed answers included. A server that signs tokens itself must write the new generation, which "keys show" shows, into the claim
"generation". Tokens that the gate signs have it.

` + signingInKeyFile,
		Example: `  $ docsgate keys invalidate-visitor-tokens "Docs site"`,
	}, "visitor-tokens/invalidate", "")
}

// signingChangeCommand completes a command that makes a change without parameters.
func signingChangeCommand(cmd *cobra.Command, path, done string) *cobra.Command {
	var (
		where  connFlags
		asJSON bool
	)
	cmd.Args = cli.Args(1, 1, "name one key by its ID or name")
	cmd.ValidArgsFunction = where.completeKeys("active", "disabled", "expired", "not_yet_valid", "unusable")
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.findToUpdate(ctx, args[0], changeInFile)
		if err != nil {
			return err
		}
		if k, err = g.change(ctx, k.ID, path); err != nil {
			return err
		}
		result := done
		if result == "" {
			result = fmt.Sprintf("at generation %d: all signed tokens of before are invalid", k.Generation)
		}
		return changed(cmd, k, result, asJSON)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
