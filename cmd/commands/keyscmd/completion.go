package keyscmd

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/policy"
)

// completeTimeout bounds the request to the gate while the shell waits for a completion.
const completeTimeout = time.Second

// completeLimit is the maximum number of keys that are offered as completions.
const completeLimit = 200

// completionFunc is cobra's type of a completion function.
type completionFunc = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// queryKeys returns the keys of the running gate that match a query; none on an error.
func (f *connFlags) queryKeys(cmd *cobra.Command, query url.Values) []*key {
	query.Set("limit", strconv.Itoa(completeLimit))
	var page keyPage
	f.tryGet(cmd, "/v1/keys?"+query.Encode(), &page)
	return page.Keys
}

// source is a source of DocsGPT.
type source struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// sources returns DocsGPT's sources as the running gate lists them; none if the gate cannot list them.
func (f *connFlags) sources(cmd *cobra.Command) []source {
	var all struct {
		Sources []source `json:"sources"`
	}
	f.tryGet(cmd, "/v1/sources", &all)
	return all.Sources
}

// tryGet reads a path of the running gate's API into out, within completeTimeout. It never opens a store file. On an error out
// keeps its zero value, so that nothing is offered.
func (f *connFlags) tryGet(cmd *cobra.Command, path string, out any) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	g, err := f.Dial(ctx)
	if err != nil {
		return
	}
	defer g.Close()                                     //nolint:errcheck // closes idle connections only
	_ = g.Call(ctx, http.MethodGet, path, nil, "", out) // on an error there are no completions
}

// completeKeys completes the IDs of keys in the given states (none: in all states), and those names that need no quoting.
func (f *connFlags) completeKeys(states ...string) completionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || cli.MayBeSecret(word) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		query := url.Values{}
		if word != "" {
			query.Set("q", word)
		}
		if len(states) == 1 {
			query.Set("state", states[0])
		}
		var offers []string
		for _, k := range f.queryKeys(cmd, query) {
			if len(states) > 0 && !slices.Contains(states, k.State) {
				continue
			}
			offers = appendCompletion(offers, word, k.ID, k.Name+", "+k.State)
			if keys.IsValidID(k.Name) && k.Name != k.ID {
				offers = appendCompletion(offers, word, k.Name, k.ID+", "+k.State)
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// appendCompletion appends a word that begins with prefix, with a description that a shell may show next to it.
func appendCompletion(offers []string, prefix, word, description string) []string {
	if !keys.IsValidID(word) || !strings.HasPrefix(word, prefix) {
		return offers
	}
	return append(offers, word+"\t"+terminal.Sanitize(description))
}

// completeFlags registers the completions of a command's flags.
func completeFlags(cmd *cobra.Command, where *connFlags) {
	words := func(offers ...string) completionFunc {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return offers, cobra.ShellCompDirectiveNoFileComp
		}
	}
	sources := func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		var offers []string
		for _, s := range where.sources(cmd) {
			offers = appendCompletion(offers, word, s.ID, s.Name)
		}
		seen := map[string]bool{}
		if len(offers) > 0 {
			return offers, cobra.ShellCompDirectiveNoFileComp
		}
		for _, k := range where.queryKeys(cmd, url.Values{}) {
			for _, id := range k.Sources {
				if !seen[id] {
					seen[id] = true
					offers = appendCompletion(offers, word, id, "used by "+k.Name)
				}
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
	limits := words() // --limit of "keys list" is a number
	if cmd.Flags().Lookup("kind") != nil {
		limits = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return limitWords(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
	}
	for flag, complete := range map[string]completionFunc{
		"sort": words(keyindex.SortNames()...), "action": words(auditActions()...), "actor": words(), "since": words("24h", "7d", "30d"), "until": words(),
		"state": words(keyStates...), "format": words(importFormats()...), "bind-to": words(bindToSources, bindToAgentKey),
		"adapter": words("caddyfile"), "address": words("localhost:2019"), "source": sources,
		"name": words(), "expires": words("30d", "90d", "365d"), "not-before": words(), "grace": words("0s", "24h", "7d", "30d"),
		"kind": words(policy.Publishable.String(), policy.Secret.String()), "origin": words(), "ip": words(),
		"endpoint": words(policy.Endpoints...), "remove": words(),
		"visitors": words("off", "optional", "required"), "sign-public-key": words(), "visitor": words(),
		"agent": words(), "query": words(), "limit": limits, "limit-message": words(), "feed": words(),
	} {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
			panic(err) // a flag has two completions
		}
	}
}
