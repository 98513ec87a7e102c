package gateway

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

// logUpstreamError counts and logs an error of the upstream. status is 0 without a response; cause may be nil.
func (x *gatewayRequest) logUpstreamError(r *docsgpt.Error, status int, cause error) {
	if errors.Is(cause, lifecycle.ErrShuttingDown) {
		return // not an error of the upstream
	}
	upstreamFailures.WithLabelValues(x.endpointName(), r.Code).Inc()
	skipped, ok := x.handler.sampler.Allow(r.Code, x.keyID(), time.Now())
	if !ok {
		return
	}
	fields := []zap.Field{
		zap.String("endpoint", x.endpointName()), zap.String("code", r.Code), zap.String("key", x.keyID()),
		zap.String("request_id", x.requestID()), zap.Int("suppressed", skipped),
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
		cause := "the upstream credential: " + x.credentialName() +
			" is not valid in DocsGPT (or DocsGPT's database is unavailable); the client's key is valid"
		if status == http.StatusBadRequest { // DocsGPT has the same response for both
			cause += "; if only one client is affected, DocsGPT cannot parse its history"
		}
		fields = append(fields, zap.String("likely_cause", cause))
	} else if cause := x.likelyCause(r, status); cause != "" {
		fields = append(fields, zap.String("likely_cause", cause))
	}
	x.handler.logger.Log(level, message, fields...)
}

// credentialName names the credential for DocsGPT in the request, without revealing it.
func (x *gatewayRequest) credentialName() string {
	if x.key != nil && x.key.Binding.Kind() == keys.SourceBinding {
		return "upstream_token"
	}
	return "the agent key of " + x.keyID()
}
