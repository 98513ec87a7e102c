package commands

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeTimeout is how long a shell waits for the gate when it completes a word.
const completeTimeout = time.Second

// completeLimit is how many keys a shell is offered at most.
const completeLimit = 200

// complete answers a shell that completes a word.
type complete = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// keysLike asks the running gate for keys.
func (f *connFlags) keysLike(cmd *cobra.Command, query url.Values) []*keyAnswer {
	query.Set("limit", strconv.Itoa(completeLimit))
	var page keyPage
	f.ask(cmd, "/v1/keys?"+query.Encode(), &page)
	return page.Keys
}

// source is a source of DocsGPT.
type source struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// sources asks the running gate for DocsGPT's sources, which it may not be able to tell.
func (f *connFlags) sources(cmd *cobra.Command) []source {
	var all struct {
		Sources []source `json:"sources"`
	}
	f.ask(cmd, "/v1/sources", &all)
	return all.Sources
}

// ask asks the running gate, in a hurry. A store's file is not touched for this, and faults offer nothing.
func (f *connFlags) ask(cmd *cobra.Command, path string, out any) {
	p, err := f.find()
	if err != nil || p.admin == "" {
		return
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	g, err := dial(ctx, p.admin)
	if err != nil {
		return
	}
	defer g.close()                                     //nolint:errcheck // it only closes connections
	_ = g.call(ctx, http.MethodGet, path, nil, "", out) // what is not known cannot be offered
}

// completeKeys offers the IDs of keys in certain states, or in all, and the names that can be typed as they are.
func (f *connFlags) completeKeys(states ...string) complete {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || secretPattern.MatchString(word) {
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
		for _, k := range f.keysLike(cmd, query) {
			if len(states) > 0 && !slices.Contains(states, k.State) {
				continue
			}
			offers = appendCompletion(offers, word, k.ID, k.Name+", "+k.State)
			if idForm.MatchString(k.Name) && k.Name != k.ID {
				offers = appendCompletion(offers, word, k.Name, k.ID+", "+k.State)
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// appendCompletion appends a word, and what a shell may show beside it.
func appendCompletion(offers []string, begin, word, about string) []string {
	if !idForm.MatchString(word) || !strings.HasPrefix(word, begin) {
		return offers
	}
	return append(offers, word+"\t"+sanitize(about))
}

// completeFlags makes shells complete the flags of a command.
func completeFlags(cmd *cobra.Command, where *connFlags) {
	words := func(offers ...string) complete {
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
		for _, k := range where.keysLike(cmd, url.Values{}) {
			for _, id := range k.Sources {
				if !seen[id] {
					seen[id] = true
					offers = appendCompletion(offers, word, id, "as of "+k.Name)
				}
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
	for flag, how := range map[string]complete{
		"state": words(keyStates...), "format": words(importFormats()...), "agents": words("source", "key"),
		"adapter": words("caddyfile"), "address": words("localhost:2019"), "source": sources,
		"name": words(), "expires": words("30d", "90d", "365d"), "not-before": words(), "grace": words("0s", "24h", "7d", "30d"),
		"agent": words(), "query": words(), "limit": words(), "feed": words(),
	} {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		if err := cmd.RegisterFlagCompletionFunc(flag, how); err != nil {
			panic(err) // two completions for one flag
		}
	}
}
