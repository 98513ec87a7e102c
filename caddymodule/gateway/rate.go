package gateway

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/ratelimit"
)

// salt derives visitors from addresses.
var salt ratelimit.Salt

// Names of the limits by scope.
var (
	rateNames   = [...]string{ratelimit.PerKey: "requests", ratelimit.PerVisitor: "visitor_requests"}
	streamNames = [...]string{ratelimit.PerKey: "streams", ratelimit.PerVisitor: "visitor_streams"}
)

// rateLimiter counts the requests and streams of keys and visitors: of this gate, or of all gates that share their limits.
type rateLimiter interface {
	Allow(now time.Time, key string, visitor ratelimit.Visitor, keyRate, visitorRate ratelimit.Rate) ratelimit.Decision
	Acquire(key string, visitor ratelimit.Visitor, keyStreams, visitorStreams int) (ratelimit.Slot, ratelimit.Scope)
}

// rates returns the limiter of requests.
func (h *Handler) rates() rateLimiter {
	if h.shared != nil {
		return h.shared
	}
	return h.state.Rates
}

// countsAsRequest reports whether a request counts towards the rates: requests for answers, searches, feedback, uploads and tool
// calls do, lists and the messages of an MCP session do not.
func countsAsRequest(e *endpoint, access *authorization) bool {
	if e.Group == docsgpt.GroupMCP {
		return access.call.Class() == docsgpt.ClassAnswer
	}
	return e.Method == http.MethodPost
}

// checkRates counts the request towards the rates of its key and its visitor, and sets the RateLimit headers. It returns an error
// if a rate is exceeded.
func (c *client) checkRates(key *keys.Key, limits *policy.Limits) *apiError {
	signed := c.allowSigned(key)
	if !signed.Allowed() {
		return c.rateLimited(key, &signed)
	}
	keyRate, visitorRate := limits.Requests.Rate(), limits.VisitorRequests.Rate()
	if keyRate.IsZero() && visitorRate.IsZero() {
		c.setRateHeaders(&signed)
		return nil
	}
	var visitor ratelimit.Visitor
	if !visitorRate.IsZero() {
		visitor = c.visitor(key)
	}
	d := c.handler.rates().Allow(c.started, key.ID, visitor, keyRate, visitorRate)
	for !d.Allowed() && c.handler.isDryRun(rateNames[d.Rejected]) {
		c.handler.state.wouldReject.WithLabelValues("rate_limited").Inc()
		if d.Rejected == ratelimit.PerKey {
			keyRate = ratelimit.Rate{}
		} else {
			visitorRate = ratelimit.Rate{}
		}
		d = c.handler.rates().Allow(c.started, key.ID, visitor, keyRate, visitorRate)
	}
	if !d.Allowed() {
		return c.rateLimited(key, &d)
	}
	if signed.Limit != ratelimit.None && (d.Limit == ratelimit.None || signed.Remaining < d.Remaining) {
		d = signed
	}
	c.setRateHeaders(&d)
	return nil
}

// rateLimited returns the error for an exceeded rate, and sets the RateLimit headers.
func (c *client) rateLimited(key *keys.Key, d *ratelimit.Decision) *apiError {
	c.setRateHeaders(d)
	if d.Rejected == ratelimit.PerVisitor && c.signed == nil {
		c.logSharedAddress()
	}
	apiErr := newRetryableError(http.StatusTooManyRequests, "rate_limited", retryAfter(d.RetryAfter),
		defaultRateMessage.Format(d.RetryAfter))
	return c.handler.limitError(key, apiErr, d.RetryAfter)
}

// takeStream counts an answer towards the streams of its key and its visitor. It returns an error if there are too many.
func (c *client) takeStream(s *ratelimit.Slot, key *keys.Key, limits *policy.Limits) *apiError {
	perKey, perVisitor := limits.Streams.Count(), limits.VisitorStreams.Count()
	if perKey == 0 && perVisitor == 0 {
		return nil
	}
	visitor := c.visitor(key)
	taken, reached := c.handler.rates().Acquire(key.ID, visitor, perKey, perVisitor)
	for reached != ratelimit.None {
		if !c.handler.isDryRun(streamNames[reached]) {
			if reached == ratelimit.PerVisitor && c.signed == nil {
				c.logSharedAddress()
			}
			return c.handler.limitError(key, errTooManyStreams, streamsRetry)
		}
		c.handler.state.wouldReject.WithLabelValues(errTooManyStreams.Code).Inc()
		if reached == ratelimit.PerKey {
			perKey = 0
		} else {
			perVisitor = 0
		}
		taken, reached = c.handler.rates().Acquire(key.ID, visitor, perKey, perVisitor)
	}
	*s = taken
	return nil
}

// logSharedAddress logs that a limit of a visitor has rejected a request of a proxy. If Caddy does not trust the proxy, all visitors
// behind it share their limits.
func (c *client) logSharedAddress() {
	if trusted, _ := caddyhttp.GetVar(c.r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted || len(c.r.Header["X-Forwarded-For"]) == 0 {
		return
	}
	if skipped, due := c.handler.sampler.Allow("untrusted_proxy", "", time.Now()); due {
		c.handler.logger.Warn("limits of visitors reject requests with X-Forwarded-For of an address that is not a trusted proxy; "+
			"if it is a proxy, its visitors share their limits until trusted_proxies is set", zap.String("client_ip", c.ip()),
			zap.Int("suppressed", skipped))
	}
}

// isDryRun reports whether a limit only counts what it would have rejected.
func (h *Handler) isDryRun(limit string) bool { return slices.Contains(h.LimitsDryRun, limit) }
