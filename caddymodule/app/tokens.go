package app

import (
	"context"
	"errors"

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

// TokenUsageChecks returns functions that check whether the tokens of answers can be read from the databases of feeds, by feed name. If
// an operator has to change something first, unreadable says what. They may be called after the configuration has ended.
// TokenUsageChecks must be called after provisioning. It is for the command doctor.
func (a *App) TokenUsageChecks() map[string]func(context.Context) (unreadable string, err error) {
	if a.state == nil {
		return nil
	}
	checks := map[string]func(context.Context) (string, error){}
	for _, feed := range a.state.feeds {
		if f, ok := feed.(*pgfeed.Feed); ok {
			checks[f.Name()] = func(ctx context.Context) (string, error) {
				err := f.TokenUsage().Check(ctx)
				if unreadable, ok := errors.AsType[*quota.UnreadableError](err); ok {
					return unreadable.Reason, nil
				}
				return "", err
			}
		}
	}
	return checks
}
