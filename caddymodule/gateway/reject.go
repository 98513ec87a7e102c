package gateway

import (
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/keys/activity"
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
	if line := c.handler.logger.Check(zap.DebugLevel, "request rejected"); line != nil {
		line.Write(zap.String("endpoint", c.endpoint.Name), zap.String("reason", reason), zap.String("key", c.keyID()),
			zap.String("client_ip", c.ip()), zap.String("request_id", c.requestID()))
	}
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
