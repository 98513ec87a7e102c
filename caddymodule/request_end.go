package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
)

// track starts to track the request, before its body is read.
func (x *gatewayRequest) track() *apiError {
	x.tracked.w, x.tracked.conn, x.tracked.http1 = &x.client, clientConnOf(x.r.Context()), x.r.ProtoMajor == 1
	if !requests.add(&x.tracked) {
		return errRestarting
	}
	return nil
}

// rejectionCause returns errRestarting if the request was aborted by a shutdown, which also interrupts reading the body, else apiErr.
func (x *gatewayRequest) rejectionCause(apiErr *apiError) *apiError {
	if requests.cause(&x.tracked) != nil {
		return errRestarting
	}
	return apiErr
}

// startForwarding creates the context of the upstream request. It ends when the client disconnects or reads too slowly, when
// the process shuts down and, for a server stream, when the configuration is unloaded.
func (x *gatewayRequest) startForwarding() *apiError {
	x.ctx, x.stop = context.WithCancelCause(x.r.Context())
	if !requests.read(&x.tracked, x.stop) {
		return errRestarting
	}
	if x.tracked.conn != nil {
		x.tracked.conn.limitUnsent()
	}
	x.client.limit(x.r, time.Duration(x.handler.ClientWriteTimeout), x.handler.ClientMinRate)
	if x.isServerStream() {
		// The stream never ends, so Caddy would wait for it forever. Clients reconnect.
		x.unwatch = context.AfterFunc(x.handler.app.lifetime, func() { x.stop(errConfigUnloaded) })
	}
	return nil
}

// untrack undoes track and startForwarding, and counts an aborted request.
func (x *gatewayRequest) untrack() {
	requests.remove(&x.tracked)
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
	if x.client.slow.Load() {
		return errClientSlow
	}
	cause := context.Cause(x.ctx)
	for _, known := range []error{errDisconnected, errShuttingDown, errConfigUnloaded} {
		if errors.Is(cause, known) {
			return known
		}
	}
	if x.r.Context().Err() != nil {
		return errDisconnected
	}
	return nil
}

// countAborted counts and logs an aborted request.
func (x *gatewayRequest) countAborted(cause error) {
	reason := ""
	switch {
	case errors.Is(cause, errClientSlow):
		reason = "client_too_slow"
	case errors.Is(cause, errDisconnected):
		reason = "client_disconnected"
	case errors.Is(cause, errShuttingDown):
		reason = errRestarting.Code
	default:
		return // a server stream
	}
	abortedRequests.WithLabelValues(x.endpointName(), reason).Inc()
	level := zap.DebugLevel
	if errors.Is(cause, errClientSlow) {
		level = zap.InfoLevel
	}
	line := x.handler.logger.Check(level, "request aborted")
	if line == nil {
		return
	}
	skipped, due := x.handler.sampler.allow(sampleKey{reason, x.keyID()}, time.Now())
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

// serveTracked serves a request of the console or of Caddy's admin endpoint, and tracks it so that it does not delay a
// shutdown.
func serveTracked(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	t := &tracked{w: &clientWriter{ResponseWriter: w}, conn: clientConnOf(r.Context()), http1: r.ProtoMajor == 1}
	control := http.NewResponseController(w)
	t.stop = func(cause error) {
		stop(cause)
		_ = control.SetReadDeadline(aLongTimeAgo) // if not supported, closeAll closes the connection
		if t.conn == nil && t.http1 {
			_ = control.SetWriteDeadline(time.Now().Add(finalWrite)) // the admin endpoint
		}
	}
	if !requests.add(t) {
		http.Error(w, errRestarting.Message, http.StatusServiceUnavailable)
		return
	}
	defer requests.remove(t)
	handler.ServeHTTP(w, r.WithContext(ctx))
}
