package keyscmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

func signCommand() *cobra.Command {
	var visitor, expires, origin, secretFrom string
	var generation uint32
	cmd := &cobra.Command{
		Use:   "sign KEY --visitor ID",
		Short: "Sign a short-lived token for a visitor of a key in a key file",
		Long: `
Sign a token for a visitor and print it. The page of the visitor uses it in place of the token of the key. KEY is the ID of the key, in
whose key file "visitors" and "sign_secret" are set. The secret is read from standard input, or from the variable or file
that --secret names. The gate is not contacted, so the token is only valid if the secret and the generation are those of the key.`,
		Example: `  $ docsgate keys sign docs-site --visitor u-42 --secret "{env.DOCS_SIGN_SECRET}"
  $ pass show docs-sign-secret | docsgate keys sign docs-site --visitor u-42 --expires 10m --origin https://docs.example.com`,
		Args: cli.UsageError(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := sign(cmd, args[0], visitor, expires, origin, secretFrom, generation)
			if err != nil {
				return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, err))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&visitor, "visitor", "", "ID of the visitor (required)")
	flags.StringVar(&expires, "expires", "10m", "Lifetime of the token, at most 24h")
	flags.StringVar(&origin, "origin", "", "Only origin of pages that may use the token")
	flags.StringVar(&secretFrom, "secret", "", "Secret as {env.NAME} or {file.PATH}, in place of standard input")
	flags.Uint32Var(&generation, "generation", 0, "Generation of the key")
	return cmd
}

func sign(cmd *cobra.Command, key, visitor, expires, origin, secretFrom string, generation uint32) (string, error) {
	if !keys.IsValidID(key) {
		return "", errors.New("the ID of the key is not valid")
	}
	r := visitortoken.Request{KeyID: key, Visitor: visitor, Generation: generation}
	var err error
	if r.Lifetime, err = duration.Parse(expires); err != nil {
		return "", fmt.Errorf("--expires: %w", err)
	}
	if origin != "" {
		parsed, err := policy.ParseOrigin(origin)
		if err != nil {
			return "", fmt.Errorf("--origin: %w", err)
		}
		r.Origin = &parsed
	}
	if err := r.Validate(); err != nil {
		return "", err
	}
	var text string
	if secretFrom != "" {
		text, err = placeholder.Reference(secretFrom)
	} else {
		text, err = cli.ReadSignSecret(cmd.InOrStdin(), cmd.ErrOrStderr())
	}
	if err != nil {
		return "", err
	}
	secret, err := visitortoken.NewSecret(text)
	if err != nil {
		return "", err
	}
	return visitortoken.Sign(r, time.Now(), secret)
}
