package app

import (
	"context"
	"errors"

	"github.com/docsgate/docsgate/keys/pgfeed"
	"github.com/docsgate/docsgate/keys/quota"
)

// attachTokens makes the counters read from the databases of the backend's feeds.
func (b *Backend) attachTokens() {
	var sources []quota.TokenSource
	for _, feed := range b.state.feeds {
		if f, ok := feed.(*pgfeed.Feed); ok {
			sources = append(sources, f.TokenUsage())
		}
	}
	b.detachTokens = b.counters.Tokens.Attach(b.slogger, sources...)
}

// TokenUsageChecks returns functions that check whether the tokens of answers can be read from the databases of feeds, by feed name. If
// an operator has to change something first, unreadable says what. They may be called after the configuration has ended.
// TokenUsageChecks must be called after provisioning. It is for the command doctor.
func (b *Backend) TokenUsageChecks() map[string]func(context.Context) (unreadable string, err error) {
	if b.state == nil {
		return nil
	}
	checks := map[string]func(context.Context) (string, error){}
	for _, feed := range b.state.feeds {
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
