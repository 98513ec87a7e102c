package gateway

import (
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

// logUpstreamError counts and logs an error of the upstream. status is 0 without a response; cause may be nil.
func (c *client) logUpstreamError(r *docsgpt.Error, status int, cause error) {
	if endedByGate(cause) != nil {
		return // not an error of the upstream
	}
	if isNextRejection(cause) {
		c.handler.logger.Debug("a later handler rejected the request", zap.String("endpoint", c.endpoint.Name),
			zap.Int("status", r.Status), zap.String("key", c.keyID()), zap.String("request_id", c.requestID()), zap.Error(cause))
		return
	}
	c.trace.failed(r.Code)
	c.handler.noteUpstreamFailure(r.Code, status, cause)
	c.handler.state.upstreamFailures.WithLabelValues(c.endpoint.Name, r.Code).Inc()
	skipped, ok := c.handler.sampler.Allow(r.Code, c.keyID(), time.Now())
	if !ok {
		return
	}
	fields := []zap.Field{
		zap.String("endpoint", c.endpoint.Name), zap.String("code", r.Code), zap.String("key", c.keyID()),
		zap.String("client_ip", c.ip()), zap.String("request_id", c.requestID()), zap.Int("suppressed", skipped),
	}
	if status != 0 {
		fields = append(fields, zap.Int("upstream_status", status))
	}
	if cause != nil {
		fields = append(fields, zap.Error(cause))
	}
	level, message := zap.ErrorLevel, "DocsGPT request failed"
	if r.Status < http.StatusInternalServerError {
		level, message = zap.InfoLevel, "DocsGPT rejected the request" // a limit of DocsGPT, or an invalid request
	}
	if r.Code == docsgpt.CodeUpstreamRefused {
		cause := "the upstream credential: " + c.credentialName() +
			" is not valid in DocsGPT (or DocsGPT's database is unavailable); the client's key is valid"
		if status == http.StatusBadRequest { // DocsGPT has the same response for both
			cause += "; if only one client is affected, DocsGPT cannot parse its history"
		}
		fields = append(fields, zap.String("likely_cause", cause))
	} else if hint := c.likelyCause(r, status, cause); hint != "" {
		fields = append(fields, zap.String("likely_cause", hint))
	}
	c.handler.logger.Log(level, message, fields...)
}

// credentialName names the credential for DocsGPT in the request, without revealing it.
func (c *client) credentialName() string {
	if c.key != nil && c.key.Binding.Kind() == keys.SourceBinding {
		return "upstream_token"
	}
	return "the agent key of " + c.keyID()
}
