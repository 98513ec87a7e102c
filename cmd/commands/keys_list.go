package commands

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// keyStates are the states of a key, as in the API's filter.
var keyStates = []string{"active", "disabled", "not_yet_valid", "expired", "revoked", "unusable"}

func listCommand() *cobra.Command {
	var (
		where                      connFlags
		text, state, source, feeds string
		limit                      int
		all, asJSON                bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first",
		Long: `
List the keys of all feeds, newest first. At a terminal long names are truncated to fit. Control characters and characters that
change the direction of text are shown as <U+202E>.

With --json each key is one line of JSON, in the format of the API.`,
		Example: `  $ docsgate keys list --state active --query docs
  $ docsgate keys list --all --json | jq -r 'select(.last_used == null) | .id'`,
		Args: arguments(0, 0, "this command takes no arguments: search with --query"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case state != "" && !slices.Contains(keyStates, state):
			return exit(cmd, failf(exitUsage, "--state must be one of %s", strings.Join(keyStates, ", ")))
		case limit < 1:
			return exit(cmd, failf(exitUsage, "--limit must be at least 1; use --all to list all keys"))
		case all && cmd.Flags().Changed("limit"):
			return exit(cmd, failf(exitUsage, "--limit and --all are mutually exclusive"))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		for name, value := range map[string]string{"q": text, "state": state, "source": source, "feed": feeds} {
			if value != "" {
				query.Set(name, value)
			}
		}
		filtered := len(query) > 0 // before the parameters of pagination are added
		most := limit
		if all {
			most = 0
		}
		shown, now := 0, time.Now()
		rows := table{heading: []string{"ID", "NAME", "STATE", "KEY", "BOUND TO", "LAST USED", "24 H", "EXPIRES"}}
		out := cmd.OutOrStdout()
		total, err := g.listed(ctx, query, most, func(k *keyResponse) error {
			shown++
			if asJSON {
				return jsonLine(out, k.raw)
			}
			expires := "never"
			if k.Expires != nil {
				expires = k.Expires.UTC().Format(time.DateOnly)
			}
			rows.add(k.ID, k.Name, k.State, k.Masked, boundTo(&k.keyView), relativeTime(k.Used, now), formatCount(sum(k.Requests)), expires)
			return nil
		})
		if err != nil {
			return err
		}
		if !asJSON {
			if shown > 0 {
				if err := rows.write(out); err != nil {
					return err
				}
			} else if filtered {
				fmt.Fprintln(cmd.ErrOrStderr(), "No keys match.")
			} else {
				fmt.Fprintln(cmd.ErrOrStderr(), `There are no keys yet: create one with "keys create".`)
			}
		}
		if shown < total {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d of %s; use --all to list all.\n", shown, plural(total, "key", "keys"))
		}
		return nil
	})
	flags := cmd.Flags()
	flags.StringVarP(&text, "query", "q", "", "Only keys with this text in their name, ID, source or masked token")
	flags.StringVar(&state, "state", "", "Only keys in this state: "+strings.Join(keyStates, ", "))
	flags.StringVar(&source, "source", "", "Only keys that are bound to the source with this ID")
	flags.StringVar(&feeds, "feed", "", "Only keys of the feed with this name")
	flags.IntVarP(&limit, "limit", "n", 50, "Maximum number of keys to list")
	flags.BoolVar(&all, "all", false, "List all keys")
	flags.BoolVar(&asJSON, "json", false, "Print each key as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// boundTo returns a short description of a key's binding.
func boundTo(k *keyView) string {
	if k.Binding != "agent" {
		return strings.Join(k.Sources, ", ")
	}
	if k.Agent == "" {
		return "an agent"
	}
	return "agent " + k.Agent
}

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
		Args:              arguments(1, 1, "name one key by its ID or name"),
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
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// printKey prints a key, one line per property. Empty properties are left out.
func printKey(cmd *cobra.Command, k *keyResponse, asJSON bool) error {
	if asJSON {
		return jsonLine(cmd.OutOrStdout(), k.raw)
	}
	now := time.Now()
	used := "never"
	if k.Used != nil {
		used = formatTime(k.Used) + " (" + relativeTime(k.Used, now) + ")"
	}
	previous := ""
	if k.PreviousExpires != nil && k.State != "revoked" {
		previous = "valid until " + formatTime(k.PreviousExpires) + ", "
		if k.PreviousUsed != nil {
			previous += "last used " + formatTime(k.PreviousUsed) + " (" + relativeTime(k.PreviousUsed, now) + ")"
		} else {
			previous += "not used"
		}
	}
	use := ""
	if len(k.Requests) > 0 {
		use = sparkline(k.Requests) + "  " + formatCount(sum(k.Requests)) + " in 24 hours"
	}
	feed := k.Feed
	if !k.Issued {
		feed += " (read-only here)"
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, property := range [][2]string{
		{"ID", k.ID},
		{"Name", k.Name},
		{"Key", k.Masked},
		{"State", k.State},
		{"Problem", k.Problem},
		{"Bound to", boundTo(&k.keyView)},
		{"Feed", feed},
		{"Not before", formatTime(k.Before)},
		{"Expires", formatTime(k.Expires)},
		{"Created", formatTime(k.Created)},
		{"Changed", formatTime(k.Changed)},
		{"Rotated", formatTime(k.Rotated)},
		{"Previous token", previous},
		{"Last used", used},
		{"Requests", use},
	} {
		if property[1] != "" {
			// Only the first column is aligned, so the width of the second does not matter.
			fmt.Fprintf(w, "%s:\t%s\n", property[0], sanitize(property[1]))
		}
	}
	return w.Flush()
}

// change makes a change that has no parameters, such as "disable", and returns the changed key.
func (g *client) change(ctx context.Context, id, verb string) (*keyResponse, error) {
	var k keyResponse
	err := g.call(ctx, http.MethodPost, keyPath(id)+"/"+verb, nil, "", &k)
	return &k, err
}
