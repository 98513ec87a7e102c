package keyscmd

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/policy"
)

func showCommand() *cobra.Command {
	var (
		where  connFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "show KEY",
		Short: "Show a key and its usage",
		Long: `
Show all that the gate knows about a key. The bars are the requests of the last 24 hours, one per hour; the last bar is the
current hour.`,
		Example: `  $ docsgate keys show "Docs site"
  $ docsgate keys show key_01k9s8q7v3t2m6n4x5c8b7a9ze --json | jq .last_used`,
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys(),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.find(ctx, args[0])
		if err != nil {
			return err
		}
		return printKey(cmd, k, asJSON)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// printKey prints a key, one line per property. Empty properties are left out.
func printKey(cmd *cobra.Command, k *key, asJSON bool) error {
	if asJSON {
		return terminal.PrintJSON(cmd.OutOrStdout(), k.raw)
	}
	now := time.Now()
	used := "never"
	if k.LastUsed != nil {
		used = formatTime(k.LastUsed) + " (" + relativeTime(k.LastUsed, now) + ")"
	}
	previous := ""
	if k.PreviousTokenExpires != nil && k.State != "revoked" {
		previous = "valid until " + formatTime(k.PreviousTokenExpires) + ", "
		if k.PreviousTokenLastUsed != nil {
			previous += "last used " + formatTime(k.PreviousTokenLastUsed) + " (" + relativeTime(k.PreviousTokenLastUsed, now) + ")"
		} else {
			previous += "not used"
		}
	}
	use := ""
	if len(k.Requests) > 0 {
		use = sparkline(k.Requests) + "  " + formatCount(sum(k.Requests)) + " in 24 hours"
	}
	feed := k.Feed
	switch {
	case k.Issued:
	case strings.HasPrefix(k.Feed, fileFeedPrefix):
		feed += " (read-only here)"
	default:
		feed += " (only state and policy can be changed here)"
	}
	questionsToday, questionsThisMonth, tokensToday := describeQuota(k.Quota, &k.Limits)
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, property := range [][2]string{
		{"ID", k.ID},
		{"Name", k.Name},
		{"Key", k.Masked},
		{"State", k.State},
		{"Unusable because", k.UnusableReason},
		{"Leaked", describeLeak(k.Leaked)},
		{"Bound to", boundTo(k)},
		{"Kind", k.Kind.String()},
		{"Origins", joined(k.Origins)},
		{"IP ranges", joined(k.IPs)},
		{"Endpoints", strings.Join(k.Endpoints, ", ")},
		{"Visitors", describeVisitors(k)},
		{"Sign secrets", describeSignSecrets(k.SignSecrets)},
		{"Sign secret problem", k.SigningProblem},
		{"Sign public keys", strings.Join(k.SignPublicKeys, ", ")},
		{"Limits", describeLimits(&k.Limits)},
		{"Limit message", string(k.LimitMessage)},
		{"Questions today", questionsToday},
		{"Questions this month", questionsThisMonth},
		{"Model tokens today", tokensToday},
		{"Changed here", strings.Join(k.Overrides, ", ")},
		{"Feed", feed},
		{"Not before", formatTime(k.NotBefore)},
		{"Expires", formatTime(k.Expires)},
		{"Created", formatTime(k.Created)},
		{"Changed", formatTime(k.Changed)},
		{"Rotated", formatTime(k.Rotated)},
		{"Previous token", previous},
		{"Last used", used},
		{"Requests", use},
		{"Rejected", describeRejections(k.Rejections)},
	} {
		if property[1] != "" {
			// Only the first column is aligned, so the width of the second does not matter.
			fmt.Fprintf(w, "%s:\t%s\n", property[0], terminal.Sanitize(property[1]))
		}
	}
	return w.Flush()
}

// describeVisitors returns whether a key accepts signed tokens, and the generation that they need, or "".
func describeVisitors(k *key) string {
	switch off := k.Visitors == policy.VisitorsOff; {
	case off && k.Generation == 0:
		return ""
	case k.Generation == 0:
		return k.Visitors.String()
	}
	return fmt.Sprintf("%s, generation %d", k.Visitors, k.Generation)
}

// describeSignSecrets lists the secrets that sign tokens of visitors.
func describeSignSecrets(secrets []api.SignSecret) string {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = s.ID + " (created " + formatTime(s.Created) + ")"
		if s.Expires != nil {
			texts[i] = s.ID + " (replaced, valid until " + formatTime(s.Expires) + ")"
		}
	}
	return strings.Join(texts, ", ")
}

// boundTo returns a short description of a key's binding.
func boundTo(k *key) string {
	if k.Binding != "agent" {
		return strings.Join(k.Sources, ", ")
	}
	switch {
	case k.AgentName != "" && k.Agent != "":
		return "agent " + k.AgentName + " (" + k.Agent + ")"
	case k.AgentName != "" || k.Agent != "":
		return "agent " + k.AgentName + k.Agent
	default:
		return "an agent"
	}
}
