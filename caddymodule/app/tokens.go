package app

import (
	"github.com/docsgate/docsgate/keys/pgfeed"
	"github.com/docsgate/docsgate/keys/quota"
)

// Tokens replaces estimates in Quotas by the numbers of tokens that DocsGPT has recorded. It is global, so that a reload forgets no
// answer.
var Tokens = quota.NewReconciler()

// attachTokens makes Tokens read from the databases of the configuration's feeds.
func (a *App) attachTokens() {
	var sources []quota.TokenSource
	for _, feed := range a.state.feeds {
		if f, ok := feed.(*pgfeed.Feed); ok {
			sources = append(sources, f.TokenUsage())
		}
	}
	a.detachTokens = Tokens.Attach(a.ctx.Slogger(), sources...)
}
