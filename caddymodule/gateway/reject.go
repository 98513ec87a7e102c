package gateway

import (
	"io"
	"net/http"
	"strings"
	"time"

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

// How long the connection of a rejected request stays open for the rest of its body. The rest is read and discarded: closing a
// connection with unread data resets it, and the client would lose the response.
const (
	lingerTime        = 5 * time.Second
	lingerTimeStopped = time.Second // if the body was evicted or too slow
)

// closeAfterResponse is called before an error response is written, and reports whether the client may still be sending its
// body. On HTTP/1 the server would otherwise first wait for the rest of the body, or even for a body that the client sends only
// after "100 Continue", and the response would wait with it.
func closeAfterResponse(c *client, body *requestBody) (sending bool) {
	if c.r.ProtoMajor != 1 || c.r.ContentLength == 0 || body.quota.AtEnd() {
		return false
	}
	c.responseValues.set(c.w.Header(), "Connection", "close")
	return true
}

// linger discards the rest of the body after the response, for a bounded time. The server waits only a moment before it closes
// the connection, and not at all where Caddy has wrapped the body.
func linger(c *client, body *requestBody) {
	body.release() // other requests may need the quota
	wait := lingerTime
	if body.quota.Stopped() {
		wait = lingerTimeStopped
	}
	rc := http.NewResponseController(c.w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(wait)) != nil {
		return
	}
	if strings.EqualFold(c.r.Header.Get("Expect"), "100-continue") && !body.quota.Begun() {
		return // the client has not sent any of it
	}
	_, _ = io.Copy(io.Discard, c.r.Body) // whatever ends it, the connection is closed next
}
