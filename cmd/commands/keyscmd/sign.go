package keyscmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/filefeed"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// signFlags are the flags of "keys sign".
type signFlags struct {
	where                    connFlags
	visitor, expires, origin string
	limits                   policyFlags // only the limits
	secret                   string
	secretStdin              bool
	generation               uint32
}

func signCommand() *cobra.Command {
	var (
		f       signFlags
		request visitortoken.Request
	)
	cmd := &cobra.Command{
		Use:   "sign KEY --visitor ID [--expires DURATION] [--origin ORIGIN] [--limit NAME=VALUE...]",
		Short: "Sign a short-lived token for a visitor of a key",
		Long: `
Sign a token for a visitor and print it. The page of the visitor uses it in place of the token of the key, which must accept signed tokens
("visitors" of its policy). The gate signs it with the current secret of the key. If no gate is running, a key of a key file in the
configuration is found there, and another key in the store file.

With --secret or --secret-stdin the command signs with that secret, and contacts no gate: KEY is the ID of the key then, and the token is
only valid if the secret and the --generation are those of the key.

--limit NAME=VALUE lowers a limit for this visitor: visitor_requests, visitor_streams, question_chars or history_turns.`,
		Example: `  $ docsgate keys sign "Docs site" --visitor u-42 --expires 10m --origin https://docs.example.com
  $ docsgate keys sign docs-site --visitor u-42 --secret "{env.DOCS_SIGN_SECRET}"
  $ pass show docs-sign-secret | docsgate keys sign docs-site --visitor u-42 --secret-stdin`,
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: f.where.completeKeys("active"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if request, err = f.request(cmd); err != nil {
			return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, err))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.secret != "" || f.secretStdin {
			token, err := f.signWithSecret(cmd, args[0], request)
			if err != nil {
				return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, err))
			}
			return printSigned(cmd, token)
		}
		files, err := f.where.OfflineKeyFiles(cmd.Context())
		if err != nil {
			return cli.Exit(cmd, err)
		}
		k, err := findInKeyFiles(cmd.Context(), files, args[0])
		switch {
		case err != nil:
			return cli.Exit(cmd, err)
		case k != nil:
			token, err := k.SignVisitorToken(request, time.Now())
			if err != nil {
				return cli.Exit(cmd, cli.WithStatus(cli.ExitRejected, err))
			}
			return printSigned(cmd, token)
		}
		return f.where.run(f.signAtGate)(cmd, args)
	}
	flags := cmd.Flags()
	flags.StringVar(&f.visitor, "visitor", "", "ID of the visitor (required)")
	flags.StringVar(&f.expires, "expires", "10m", "Lifetime of the token, such as 10m or 1h; at most 1d")
	flags.StringVar(&f.origin, "origin", "", "Only origin of pages that may use the token (default: those of the key)")
	flags.StringArrayVar(&f.limits.limits, "limit", nil, "Lower limit of this visitor as NAME=VALUE, such as visitor_requests=5/1m; repeat the flag")
	flags.StringVar(&f.secret, "secret", "", "Sign with the secret in {env.NAME} or {file.PATH}, without a gate")
	flags.BoolVar(&f.secretStdin, "secret-stdin", false, "Sign with the secret on standard input, without a gate; prompt for it at a terminal")
	flags.Uint32Var(&f.generation, "generation", 0, "Generation of the key, with --secret or --secret-stdin")
	f.where.Add(cmd)
	completeFlags(cmd, &f.where)
	return cmd
}

// request returns the token to sign, except for the key.
func (f *signFlags) request(cmd *cobra.Command) (r visitortoken.Request, err error) {
	offline := f.secret != "" || f.secretStdin
	switch {
	case f.visitor == "":
		return r, errors.New("name the visitor with --visitor")
	case f.secret != "" && f.secretStdin:
		return r, errors.New("--secret and --secret-stdin are mutually exclusive")
	case cmd.Flags().Changed("generation") && !offline:
		return r, errors.New("--generation needs --secret or --secret-stdin: the gate knows the generation of the key")
	}
	r = visitortoken.Request{Visitor: f.visitor, Generation: f.generation}
	if r.Lifetime, err = duration.Parse(f.expires); err != nil {
		return r, fmt.Errorf("--expires: %w", err)
	}
	r.Lifetime = r.Lifetime.Truncate(time.Second)
	if f.origin != "" {
		origin, err := policy.ParseOrigin(f.origin)
		if err != nil {
			return r, fmt.Errorf("--origin: %w", err)
		}
		r.Origin = &origin
	}
	limits, err := f.limits.parseLimits()
	if err != nil {
		return r, err
	}
	for name, value := range limits {
		if err := r.Limits.Set(name, value); err != nil {
			return r, fmt.Errorf("--limit: %w", err)
		}
	}
	return r, r.Validate()
}

// signWithSecret signs a token without a gate.
func (f *signFlags) signWithSecret(cmd *cobra.Command, id string, r visitortoken.Request) (string, error) {
	if !keys.IsValidID(id) {
		return "", errors.New("the ID of the key is not valid")
	}
	r.KeyID = id
	var text string
	var err error
	if f.secretStdin {
		text, err = cli.ReadSignSecret(cmd.InOrStdin(), cmd.ErrOrStderr())
	} else {
		text, err = placeholder.Reference(f.secret)
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

// findInKeyFiles returns the key of a key file that has an ID, or else the only one with that name, or nil.
func findInKeyFiles(ctx context.Context, paths []string, idOrName string) (found *keys.Key, err error) {
	for _, path := range paths {
		feed, err := filefeed.New(filefeed.Options{Path: path, Resolve: placeholder.Secret})
		if err != nil {
			return nil, err
		}
		set, err := feed.Load(ctx)
		if err != nil {
			return nil, err
		}
		for i := range set {
			switch k := &set[i]; {
			case k.ID == idOrName:
				return k, nil
			case k.Name == idOrName && found != nil:
				return nil, cli.Errorf(cli.ExitRejected, "several keys have this name; name one by its ID")
			case k.Name == idOrName:
				found = k
			}
		}
	}
	return found, nil
}

// signAtGate makes the gate sign a token.
func (f *signFlags) signAtGate(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
	k, err := g.find(ctx, args[0])
	if err != nil {
		return err
	}
	in := api.VisitorTokenRequest{Visitor: f.visitor, Expires: f.expires, Origin: f.origin}
	if in.Limits, err = f.limits.parseLimits(); err != nil {
		return err
	}
	var signed api.VisitorToken
	if err := g.Call(ctx, http.MethodPost, keyPath(k.ID)+"/visitor-tokens", in, "", &signed); err != nil {
		return err
	}
	if id, ok := visitortoken.KeyID(signed.Token); !ok || id != k.ID {
		return cli.Errorf(cli.ExitUnreachable, "the response of the gate has no signed token for the key %s", terminal.Sanitize(k.ID))
	}
	return printSigned(cmd, signed.Token)
}

func printSigned(cmd *cobra.Command, token string) error {
	_, err := fmt.Fprintln(cmd.OutOrStdout(), token)
	return err
}
