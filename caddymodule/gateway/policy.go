package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// Errors of policies, by reason.
var policyErrors = map[policy.Reason]*apiError{
	policy.OriginNotAllowed: newError(http.StatusForbidden, string(policy.OriginNotAllowed),
		docsgpt.MessageOriginNotAllowed),
	policy.IPNotAllowed: newError(http.StatusForbidden, string(policy.IPNotAllowed),
		"This key cannot be used from this network."),
	policy.EndpointNotAllowed: newError(http.StatusForbidden, string(policy.EndpointNotAllowed),
		"This key cannot be used at this endpoint."),
	policy.SecretKeyInBrowser: newError(http.StatusForbidden, string(policy.SecretKeyInBrowser),
		"This key is only for servers. It must not be used in a web page."),
}

// checkPolicy checks whether the policy of a key, and a signed token, allow this client to use it here.
func (c *client) checkPolicy(decision *keys.Decision) *apiError {
	key := decision.Key
	p := key.Policy
	if p == nil {
		return nil
	}
	if c.signed != nil && len(c.signed.Origins) > 0 && !policy.AllowsOrigin(c.signed.Origins, c.r.Header.Get("Origin")) {
		return policyErrors[policy.OriginNotAllowed]
	}
	request := c.policyRequest(p)
	reason := p.Check(&request)
	if reason == policy.Allowed {
		return nil
	}
	if reason == policy.SecretKeyInBrowser {
		c.logLeakedKey(key)
		if !decision.UsedPreviousToken { // the current one may still be secret
			c.reportLeak(key)
		}
	}
	return policyErrors[reason]
}

// policyRequest returns what a policy needs to know about the request.
func (c *client) policyRequest(p *policy.Policy) policy.Request {
	origin := c.r.Header.Get("Origin")
	request := policy.Request{
		Origin: origin, Browser: origin != "" || c.r.Header.Get("Sec-Fetch-Site") != "",
		Endpoint: string(c.endpoint.Group), Signed: c.signed != nil,
	}
	if len(p.IPs) > 0 {
		request.Address = c.address() // the zero value is in no range
	}
	return request
}

// logLeakedKey logs that a browser has presented a secret key, which must therefore be in a page.
func (c *client) logLeakedKey(key *keys.Key) {
	if skipped, due := c.handler.sampler.Allow(string(policy.SecretKeyInBrowser), key.ID, time.Now()); due {
		c.handler.logger.Warn("a browser has presented a secret key: it is visible in a web page; rotate the key",
			zap.String("key", key.ID), zap.String("client_ip", c.ip()), zap.Int("suppressed", skipped))
	}
}

// reportLeak records that the current token of a secret key has leaked, once.
func (c *client) reportLeak(key *keys.Key) {
	state := c.handler.backend.State()
	leak, first := state.Activity.Leaks.Report(key, c.r.Header.Get("Origin"), c.started)
	if !first {
		return
	}
	c.handler.state.leakedKeys.Inc()
	if registry := state.Registry(); registry != nil {
		go func() { // the response does not wait for the disk
			if err := registry.MarkLeaked(context.Background(), key, leak.Origin, leak.Since); err != nil {
				c.handler.logger.Error("storing that a key has leaked failed", zap.String("key", key.ID), zap.Error(err))
			}
		}()
	}
}

// limitsOf returns the limits of a key: its own, and those of the site in place of the ones that it does not set. The address of a
// server is not a visitor, so the built-in limits, which are all of visitors, do not apply to secret keys, except with a signed token
// of a visitor.
func (h *Handler) limitsOf(key *keys.Key, signed bool) policy.Limits {
	switch {
	case key.Policy == nil:
		return h.siteLimits
	case key.Policy.Kind == policy.Secret && !signed:
		return key.Policy.Limits.Or(&h.secretLimits)
	default:
		return key.Policy.Limits.Or(&h.siteLimits)
	}
}

// limit applies the limits of a key to an authorized request: the size of its body, its rates, and the number of its streams.
func (x *gatewayRequest) limit(key *keys.Key, access *authorization) *apiError {
	c := &x.client
	limits := c.limitsFor(key)
	if isQuestion(c.endpoint, access) {
		x.quota = quotaOf(&limits)
	}
	if c.endpoint.Body == docsgpt.BodyJSON {
		if apiErr := c.handler.checkKeyLimits(&x.body.json, &limits); apiErr != nil {
			return apiErr
		}
	}
	if countsAsRequest(c.endpoint, access) {
		if apiErr := c.checkRates(key, &limits); apiErr != nil {
			return apiErr
		}
	}
	if inFlightClassOf(c.endpoint, key, access) == classAnswer {
		return c.takeStream(&x.stream, key, &limits)
	}
	return nil
}

// checkKeyLimits applies the limits on the size of a request to its body.
func (h *Handler) checkKeyLimits(body *docsgpt.Body, l *policy.Limits) *apiError {
	limits := docsgpt.KeyLimits{QuestionChars: l.QuestionChars.Count(), HistoryTurns: l.HistoryTurns.Count()}
	if h.isDryRun("history_turns") {
		limits.HistoryTurns = 0
	}
	err := body.CheckKey(limits)
	if tooLong, ok := errors.AsType[*docsgpt.QuestionTooLongError](err); ok {
		if !h.isDryRun("question_chars") {
			return newError(http.StatusBadRequest, "question_too_long",
				"The question is too long. Please shorten it to "+strconv.Itoa(tooLong.Limit)+" characters.")
		}
		h.state.wouldReject.WithLabelValues("question_too_long").Inc()
		limits.QuestionChars = 0
		err = body.CheckKey(limits)
	}
	if err != nil {
		return badRequest(err)
	}
	return nil
}
