package gateway

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/ratelimit"
)

// failedTokensName is the name of the limit in the Caddyfile. It is not one of policies: an unknown token has no key.
const failedTokensName = "failed_tokens"

// defaultFailedTokens is the limit of a site that does not set it.
const defaultFailedTokens = "60/1m"

// failedTokensMessage is the sentence in the error. Keys cannot replace it: the token is of no key.
const failedTokensMessage policy.LimitMessage = "Too many requests with an invalid API key. Please check the key, or try again in {wait}."

// maxFailingAddresses is the number of addresses whose unknown tokens are counted, in about 6 MB.
const maxFailingAddresses = 50_000

// parseFailedTokens parses the limit: a rate, "off", or "" for the default. It returns the zero rate if the limit is off.
func parseFailedTokens(text string) (ratelimit.Rate, error) {
	if text == "" {
		text = defaultFailedTokens
	}
	limit, err := policy.ParseRate(failedTokensName, text)
	return limit.Rate(), err
}

// verify verifies a token. An address with too many unknown tokens gets no lookup in the key store; tokens that are in the cache, such
// as that of a widget in use, continue to work, so that a client cannot lock out others behind the same address.
func (c *client) verify(token string, now time.Time) keys.Decision {
	verifier := c.handler.backend.State().Verifier
	if c.handler.failedTokens.IsZero() || c.handler.isDryRun(failedTokensName) {
		return verifier.Verify(token, now)
	}
	return verifier.VerifyGuarded(token, now, c)
}

// AllowLookup implements keys.LookupGuard.
func (c *client) AllowLookup() bool { return c.failedTokensWait() == 0 }

func (c *client) failedTokensWait() time.Duration {
	return c.handler.state.FailedTokens.Wait(c.started, c.address(), c.handler.failedTokens)
}

// countFailedToken counts a token that was rejected for a reason, if no key has it. It returns an error if the address has presented too
// many.
func (c *client) countFailedToken(reason keys.Reason) *apiError {
	var wait time.Duration
	switch reason {
	case keys.LookupRejected:
		wait = max(c.failedTokensWait(), 1) // in the meantime it may be over
	case keys.UnknownToken, keys.BadChecksum, keys.Malformed, keys.VisitorTokenInvalid:
		wait = c.handler.state.FailedTokens.Count(c.started, c.address(), c.handler.failedTokens)
	default:
		return nil
	}
	switch {
	case wait == 0:
		return nil
	case c.handler.isDryRun(failedTokensName):
		c.handler.state.wouldReject.WithLabelValues(string(keys.LookupRejected)).Inc()
		return nil
	}
	return newRetryableError(http.StatusTooManyRequests, "rate_limited", retryAfter(wait),
		failedTokensMessage.Format(wait))
}

// address returns the address of the client, as Caddy knows it. It is the zero value if that is not valid.
func (c *client) address() netip.Addr {
	address, _ := netip.ParseAddr(c.ip())
	return address
}
