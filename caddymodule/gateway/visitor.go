package gateway

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/ratelimit"
)

// Errors of signed tokens. Published widgets cannot get a new token, but the page can.
var (
	errVisitorRequired = newError(http.StatusUnauthorized, string(keys.VisitorRequired),
		"This page needs a token for each visitor. Please reload the page.")
	errVisitorTokenExpired = newError(http.StatusUnauthorized, string(keys.VisitorTokenExpired),
		"Your session has expired. Please reload the page.")
)

// visitor returns the visitor of a key: that of the signed token, or the client's address, as Caddy knows it.
// The key is that of the request.
func (c *client) visitor(key *keys.Key) ratelimit.Visitor {
	if c.visitorKnown {
		return c.visitorID
	}
	if c.handler.shared != nil {
		c.handler.shared.ShareVisitors(&salt)
	}
	if c.signed != nil {
		c.visitorID = salt.SignedVisitor(c.started, key.ID, c.signed.ID)
	} else {
		c.visitorID = salt.VisitorID(c.started, key.ID, c.address()) // all invalid addresses are one visitor
	}
	c.visitorKnown = true
	return c.visitorID
}

// limitsFor returns the limits of a request: those of the key and the site, and the numbers of a signed token where they are lower. The
// rate of a signed token is separate; see allowSigned.
func (c *client) limitsFor(key *keys.Key) policy.Limits {
	limits := c.handler.limitsOf(key, c.signed != nil)
	if c.signed != nil {
		limits = limits.LowerNumbers(&c.signed.Limits)
	}
	return limits
}

// allowSigned checks the rate in a signed token. It is counted apart from the other rates, since a key has counters for only a few
// rates at the same time.
func (c *client) allowSigned(key *keys.Key) ratelimit.Decision {
	if c.signed == nil || c.signed.Limits.VisitorRequests.IsZero() {
		return ratelimit.Decision{}
	}
	rate := c.signed.Limits.VisitorRequests.Rate()
	d := c.handler.rates().Allow(c.started, key.ID+"#"+rate.String(), c.visitor(key), ratelimit.Rate{}, rate)
	if !d.Allowed() && c.handler.isDryRun(rateNames[ratelimit.PerVisitor]) {
		c.handler.state.wouldReject.WithLabelValues("rate_limited").Inc()
		return ratelimit.Decision{}
	}
	return d
}

// facts returns what the gate knows about the visitor, for DocsGPT's logs. It is zero without a signed token.
func (c *client) facts(key *keys.Key) docsgpt.Facts {
	if c.signed == nil {
		return docsgpt.Facts{}
	}
	return docsgpt.Facts{Key: key.ID, Visitor: c.signed.ID}
}
