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

// keyStates are the states of a key, as the API filters by them.
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
		Short: "Lists keys, the newest first",
		Long: `
Lists the keys of all feeds, the newest first. At a terminal long names are cut to fit; control characters and such as change
the direction of text show as <U+202E>.

With --json each key is one line of JSON, in the form of the API.`,
		Example: `  $ docsgate keys list --state active --query docs
  $ docsgate keys list --all --json | jq -r 'select(.last_used == null) | .id'`,
		Args: arguments(0, 0, "the list takes flags only; search with --query"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case state != "" && !slices.Contains(keyStates, state):
			return exit(cmd, failf(exitUsage, "--state is one of %s", strings.Join(keyStates, ", ")))
		case limit < 1:
			return exit(cmd, failf(exitUsage, "--limit is 1 or more; --all lists all"))
		case all && cmd.Flags().Changed("limit"):
			return exit(cmd, failf(exitUsage, "--limit and --all exclude each other"))
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
		filtered := len(query) > 0 // the pages are asked for with it
		most := limit
		if all {
			most = 0
		}
		shown, now := 0, time.Now()
		rows := table{heading: []string{"ID", "NAME", "STATE", "KEY", "BOUND TO", "LAST USED", "24 H", "EXPIRES"}}
		out := cmd.OutOrStdout()
		total, err := g.listed(ctx, query, most, func(k *keyAnswer) error {
			shown++
			if asJSON {
				return jsonLine(out, k.raw)
			}
			expires := "never"
			if k.Expires != nil {
				expires = k.Expires.UTC().Format(time.DateOnly)
			}
			rows.add(k.ID, k.Name, k.State, k.Masked, boundTo(&k.keyView), relativeTime(k.Used, now), number(sum(k.Requests)), expires)
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
				fmt.Fprintln(cmd.ErrOrStderr(), "There are no such keys.")
			} else {
				fmt.Fprintln(cmd.ErrOrStderr(), `There are no keys yet: make one with "keys create".`)
			}
		}
		if shown < total {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d of %s; --all lists all.\n", shown, plural(total, "key", "keys"))
		}
		return nil
	})
	flags := cmd.Flags()
	flags.StringVarP(&text, "query", "q", "", "Only keys that have this text in their name, ID, source or masked key")
	flags.StringVar(&state, "state", "", "Only keys in this state: "+strings.Join(keyStates, ", "))
	flags.StringVar(&source, "source", "", "Only keys that are bound to this source")
	flags.StringVar(&feeds, "feed", "", "Only keys of this feed")
	flags.IntVarP(&limit, "limit", "n", 50, "List so many keys at most")
	flags.BoolVar(&all, "all", false, "List all keys")
	flags.BoolVar(&asJSON, "json", false, "Print each key as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// boundTo tells a key's binding in few words.
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
		Short: "Shows a key and its use",
		Long: `
Shows all that the gate knows of a key. The bars are the requests of the last 24 hours, hour by hour, the last one being the
hour that is under way.`,
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

// printKey shows a key, one line a fact. What is not known is left out.
func printKey(cmd *cobra.Command, k *keyAnswer, asJSON bool) error {
	if asJSON {
		return jsonLine(cmd.OutOrStdout(), k.raw)
	}
	now := time.Now()
	used := "never"
	if k.Used != nil {
		used = moment(k.Used) + " (" + relativeTime(k.Used, now) + ")"
	}
	old := ""
	if k.OldUntil != nil && k.State != "revoked" {
		old = "counts until " + moment(k.OldUntil) + ", "
		if k.OldUsed != nil {
			old += "last used " + moment(k.OldUsed) + " (" + relativeTime(k.OldUsed, now) + ")"
		} else {
			old += "not used"
		}
	}
	use := ""
	if len(k.Requests) > 0 {
		use = sparkline(k.Requests) + "  " + number(sum(k.Requests)) + " in 24 hours"
	}
	feed := k.Feed
	if !k.Issued {
		feed += " (can be changed there only)"
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, fact := range [][2]string{
		{"ID", k.ID},
		{"Name", k.Name},
		{"Key", k.Masked},
		{"State", k.State},
		{"Problem", k.Problem},
		{"Bound to", boundTo(&k.keyView)},
		{"Feed", feed},
		{"Not before", moment(k.Before)},
		{"Expires", moment(k.Expires)},
		{"Created", moment(k.Created)},
		{"Changed", moment(k.Changed)},
		{"Rotated", moment(k.Rotated)},
		{"Old token", old},
		{"Last used", used},
		{"Requests", use},
	} {
		if fact[1] != "" {
			// Only the first column is aligned, so the width of the second does not matter.
			fmt.Fprintf(w, "%s:\t%s\n", fact[0], sanitize(fact[1]))
		}
	}
	return w.Flush()
}

// change makes one of the changes that take no more than a key, and prints the key as it is then.
func (g *client) change(ctx context.Context, id, verb string) (*keyAnswer, error) {
	var k keyAnswer
	err := g.call(ctx, http.MethodPost, keyPath(id)+"/"+verb, nil, "", &k)
	return &k, err
}
