package gateway

import (
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// reject rejects the request: it counts, logs and records the error, and writes the error response.
func (x *gatewayRequest) reject(apiErr *apiError) {
	c := &x.client
	reason := apiErr.reason
	if reason == "" {
		reason = apiErr.Code
	}
	c.handler.state.decisions.WithLabelValues(c.endpoint.Name, reason).Inc()
	c.handler.backend.State().Activity.Rejections.Add(activity.Rejection{
		At: c.started, RequestID: c.requestID(), Key: c.keyID(), Endpoint: c.endpoint.Name, Reason: reason,
	})
	c.noteReason(reason, 0)
	c.trace.decided(reason)
	x.usage.rejected = apiErr
	c.logRejection(apiErr, reason)
	if x.writer.response.stream.stop() { // a keepalive has begun it while the request waited
		c.writeStreamError(&apiErr.Error)
		return
	}
	sending := closeAfterResponse(c, &x.body)
	c.writeErrorResponse(&apiErr.Error)
	if sending {
		linger(c, &x.body)
	}
}

// logRejection logs a rejection: one line for each reason and key, or client address if the key is not known, in logsample.Interval. With
// the level DEBUG it also logs those in between.
func (c *client) logRejection(apiErr *apiError, reason string) {
	level := zap.InfoLevel
	switch {
	case apiErr == errClientGone: // countAborted logs it
		level = zap.DebugLevel
	case rejectionField(apiErr) == series.RejectedBusy:
		level = zap.WarnLevel
	}
	if !c.handler.logger.Core().Enabled(level) {
		return
	}
	id := c.keyID()
	if id == "" {
		id = c.ip()
	}
	suppressed := 0
	if level != zap.DebugLevel {
		var due bool
		if suppressed, due = c.handler.rejections.Allow(reason, id, c.started); !due {
			level = zap.DebugLevel
		}
	}
	line := c.handler.logger.Check(level, "request rejected")
	if line == nil {
		return
	}
	line.Write(zap.String("endpoint", c.endpoint.Name), zap.String("reason", reason), zap.String("key", c.keyID()),
		zap.String("client_ip", c.ip()), zap.String("request_id", c.requestID()), zap.Int("suppressed", suppressed))
}

// noteReason adds why the client gets an error to the line of the access log. status is that of DocsGPT's response; 0: there is none.
func (c *client) noteReason(reason string, status int) {
	c.failed = true
	extra, ok := c.r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	fields := []zap.Field{zap.String("reason", reason), zap.String("request_id", c.requestID())}
	if backend := c.handler.Backend; backend != "" {
		fields = append(fields, zap.String("backend", backend))
	}
	if status != 0 {
		fields = append(fields, zap.Int("upstream_status", status))
	}
	extra.Set(zap.Dict("docsgate", fields...))
}
