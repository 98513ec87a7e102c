package keyscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/visitortoken"
)

// checkResult is the result of a check, as in the API.
type checkResult struct {
	Valid         bool        `json:"valid"`
	Reason        keys.Reason `json:"reason"`
	PreviousToken bool        `json:"previous_token"`
	Key           *key        `json:"key"`
	Visitor       string      `json:"visitor"`
	Expires       *time.Time  `json:"expires"` // of a signed token
}

// whyInvalid are the reasons why a token is not valid.
var whyInvalid = map[keys.Reason]string{
	keys.BadChecksum:     "its checksum is wrong, so no gate has issued it: it may be mistyped",
	keys.UnknownToken:    "no key has it",
	keys.DisabledKey:     "its key is disabled",
	keys.RevokedKey:      "its key is revoked",
	keys.UnusableKey:     "its key is unusable",
	keys.TokenRotated:    "it was replaced, and its grace period is over",
	keys.NotYetValid:     "its key is not valid yet",
	keys.Expired:         "its key has expired",
	keys.FeedUnavailable: "no known key has it, but a feed that may have it is not available",
	keys.VisitorRequired: "its key accepts only signed tokens of visitors",
	keys.NotReady:        "the gate has not loaded all keys yet",

	keys.VisitorTokenInvalid: "", // see printCheck
	keys.VisitorTokenExpired: "it has expired, or all tokens of its key were invalidated",
}

func checkCommand() *cobra.Command {
	var (
		where  connFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Show the key that a token belongs to",
		Long: `
Read one token from standard input, and show its key, of any feed, with its state and its policy. At a terminal the command prompts for
the token and does not echo it. Only the SHA-256 of the token is sent to the gate. If no key has it, a signed token of a visitor is sent as a
whole, since the gate verifies its signature.

The exit status is 0 if the token is valid now, and 1 if it is not or no key has it. Whether a request is accepted depends on the policy,
too: on its origin and address, and on limits.`,
		Example: `  $ docsgate keys check < token.txt
  $ pass show docs-site | docsgate keys check --json | jq -r .key.id
  $ docsgate keys sign "Docs site" --visitor u-42 | docsgate keys check`,
		Args: cli.UsageError(cli.NoArgs(errOnCommandLine.Error())),
	}
	var token string
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if token, err = cli.ReadToken(cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
			return cli.Exit(cmd, cli.WithStatus(cli.ExitUsage, err))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		raw := json.RawMessage(`{"valid":false,"reason":"` + keys.BadChecksum + `"}`)
		var result checkResult
		check := func(in map[string]string) error {
			if err := g.Call(ctx, http.MethodPost, "/v1/check", in, "", &raw); err != nil {
				return err
			}
			result = checkResult{}
			return json.Unmarshal(raw, &result)
		}
		if keys.HasBadChecksum(token) {
			result.Reason = keys.BadChecksum
		} else if err := check(map[string]string{"sha256": keys.DigestOf(token).Hex()}); err != nil {
			return err
		}
		if _, signed := visitortoken.KeyID(token); signed && result.Key == nil {
			if err := check(map[string]string{"visitor_token": token}); err != nil {
				return err
			}
		}
		return printCheck(cmd, token, &result, raw, asJSON)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the result as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// printCheck prints a result. A token that is not valid is an error.
func printCheck(cmd *cobra.Command, token string, result *checkResult, raw []byte, asJSON bool) error {
	switch {
	case asJSON:
		if err := terminal.PrintJSON(cmd.OutOrStdout(), raw); err != nil {
			return err
		}
	case result.Key != nil:
		if err := printKey(cmd, result.Key, false); err != nil {
			return err
		}
	}
	if result.Valid && result.Visitor != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "The token is valid for the visitor %s until %s.\n", terminal.Sanitize(result.Visitor), formatTime(result.Expires))
		return nil
	}
	if result.Valid {
		which := "The token"
		if result.PreviousToken {
			which = "The previous token"
		}
		fmt.Fprintln(cmd.ErrOrStderr(), which+" is valid.")
		return nil
	}
	why, known := whyInvalid[result.Reason]
	switch {
	case !known:
		why = terminal.Sanitize(string(result.Reason))
	case result.Reason == keys.VisitorTokenInvalid && result.Visitor != "":
		why = "it is not valid yet: check the clock of the server that signs"
	case result.Reason == keys.VisitorTokenInvalid:
		id, _ := visitortoken.KeyID(token)
		why = fmt.Sprintf("the key %s, which it names, accepts no signed tokens, or has not signed this one", terminal.Sanitize(id))
	}
	return cli.Errorf(cli.ExitFailed, "the token is not valid: %s", why)
}
