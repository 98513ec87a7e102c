package doctor

import (
	"context"
	"maps"
	"slices"
)

// checkTokenUsage checks that limits of tokens count what DocsGPT has recorded, if a feed could read that.
func (x *runner) checkTokenUsage(context.Context) {
	for _, feed := range slices.Sorted(maps.Keys(x.input.TokenUsage)) {
		switch u := x.input.TokenUsage[feed]; {
		case u.Unreadable != "":
			x.note("feeds.token_usage", "Limits of tokens count estimates, since the feed "+feed+" cannot read what answers have cost: "+u.Unreadable+".",
				"Run the output of \"docsgate adopt --print-grants ROLE\" as the owner of DocsGPT's tables.")
		case u.Err != nil:
			x.unknown("feeds.token_usage", "The database of the feed "+feed+" cannot be checked for the tokens of answers: "+u.Err.Error()+".",
				"Check the database, and run the doctor again.")
		default:
			x.ok("feeds.token_usage", "Limits of tokens count what DocsGPT records in the database of the feed "+feed+".")
		}
	}
}
