package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
)

// track starts to track the request, before its body is read.
func (x *gatewayRequest) track() *apiError {
	if !lifecycle.Requests.Add(&x.tracked, &x.client, x.r) {
		return errShuttingDown
	}
	return nil
}

// rejectionCause returns errShuttingDown if the request was aborted by a shutdown, which also interrupts reading the body, else apiErr.
func (x *gatewayRequest) rejectionCause(apiErr *apiError) *apiError {
	if lifecycle.Requests.Cause(&x.tracked) != nil {
		return errShuttingDown
	}
	return apiErr
}

// startForwarding creates the context of the upstream request. It ends when the client disconnects or reads too slowly, when
// the process shuts down and, for a server stream, when the configuration is unloaded.
func (x *gatewayRequest) startForwarding() *apiError {
	x.ctx, x.stop = context.WithCancelCause(x.r.Context())
	if !lifecycle.Requests.BodyRead(&x.tracked, x.stop) {
		return errShuttingDown
	}
	x.tracked.LimitUnsent()
	x.client.Limit(x.r, time.Duration(x.handler.ClientWriteTimeout), x.handler.ClientMinRate)
	if x.isServerStream() {
		// The stream never ends, so Caddy would wait for it forever. Clients reconnect.
		x.unwatch = context.AfterFunc(x.handler.app.Lifetime(), func() { x.stop(lifecycle.ErrConfigUnloaded) })
	}
	return nil
}

// untrack undoes track and startForwarding, and counts an aborted request.
func (x *gatewayRequest) untrack() {
	lifecycle.Requests.Remove(&x.tracked)
	if x.stop == nil {
		return
	}
	if cause := x.aborted(); cause != nil {
		x.countAborted(cause)
	}
	if x.unwatch != nil {
		x.unwatch()
	}
	x.stop(nil)
}

// aborted returns why the request was aborted: errClientSlow, errDisconnected, errShuttingDown or errConfigUnloaded. It
// returns nil if the request was not aborted.
func (x *gatewayRequest) aborted() error {
	if x.client.Slow() {
		return lifecycle.ErrClientSlow
	}
	cause := context.Cause(x.ctx)
	for _, known := range []error{lifecycle.ErrDisconnected, lifecycle.ErrShuttingDown, lifecycle.ErrConfigUnloaded} {
		if errors.Is(cause, known) {
			return known
		}
	}
	if x.r.Context().Err() != nil {
		return lifecycle.ErrDisconnected
	}
	return nil
}

// countAborted counts and logs an aborted request.
func (x *gatewayRequest) countAborted(cause error) {
	reason := ""
	switch {
	case errors.Is(cause, lifecycle.ErrClientSlow):
		reason = "client_too_slow"
	case errors.Is(cause, lifecycle.ErrDisconnected):
		reason = "client_disconnected"
	case errors.Is(cause, lifecycle.ErrShuttingDown):
		reason = errShuttingDown.Code
	default:
		return // a server stream
	}
	abortedRequests.WithLabelValues(x.endpointName(), reason).Inc()
	level := zap.DebugLevel
	if errors.Is(cause, lifecycle.ErrClientSlow) {
		level = zap.InfoLevel
	}
	line := x.handler.logger.Check(level, "request aborted")
	if line == nil {
		return
	}
	skipped, due := x.handler.sampler.Allow(reason, x.keyID(), time.Now())
	if !due {
		return
	}
	line.Write(zap.String("endpoint", x.endpointName()), zap.String("reason", reason), zap.String("key", x.keyID()),
		zap.String("client_ip", x.clientIP()), zap.String("request_id", x.requestID()), zap.Int("suppressed", skipped))
}

// isServerStream reports whether the request is for an MCP stream of server messages, which may be silent for hours. Clients
// reconnect when it ends.
func (x *gatewayRequest) isServerStream() bool {
	return x.endpoint.Group == docsgpt.GroupMCP && x.endpoint.Method == http.MethodGet
}
