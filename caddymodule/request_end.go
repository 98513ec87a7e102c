package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
)

// track begins to track the request, before its body is read.
func (x *gatewayRequest) track() *apiError {
	x.tracked.w, x.tracked.conn, x.tracked.http1 = &x.client, clientConnOf(x.r.Context()), x.r.ProtoMajor == 1
	if !requests.add(&x.tracked) {
		return shuttingDown
	}
	return nil
}

// whyRejected returns why a request is rejected whose body could not be read: perhaps the process is shutting down.
func (x *gatewayRequest) whyRejected(no *apiError) *apiError {
	if requests.cause(&x.tracked) != nil {
		return shuttingDown
	}
	return no
}

// startForwarding makes the context of the upstream request. It ends when the client disconnects or reads too slowly, when
// the process shuts down and, if the client only listens, when the configuration ends.
func (x *gatewayRequest) startForwarding() *apiError {
	x.ctx, x.stop = context.WithCancelCause(x.r.Context())
	if !requests.read(&x.tracked, x.stop) {
		return shuttingDown
	}
	if x.tracked.conn != nil {
		x.tracked.conn.limitUnsent()
	}
	x.client.limit(x.r, time.Duration(x.handler.ClientWriteTimeout), x.handler.ClientMinRate)
	if x.isServerStream() {
		// Caddy would wait for it forever: it has no end of its own. Its client comes again.
		x.unwatch = context.AfterFunc(x.handler.app.ending, func() { x.stop(errConfigUnloaded) })
	}
	return nil
}

// untrack ends what track and startForwarding began, and counts a request that was aborted.
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

// aborted returns why the request ends before its response is complete, of errClientSlow, errDisconnected, errShuttingDown
// and errConfigUnloaded; nil: it does not.
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

// countAborted counts and logs the end of a request that is not the upstream's.
func (x *gatewayRequest) countAborted(cause error) {
	reason := ""
	switch {
	case errors.Is(cause, errClientSlow):
		reason = "client_too_slow"
	case errors.Is(cause, errDisconnected):
		reason = "client_disconnected"
	case errors.Is(cause, errShuttingDown):
		reason = shuttingDown.Code
	default:
		return // a client that only listens
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
	skipped, due := x.handler.trouble.allow(sampleKey{reason, x.keyID()}, time.Now())
	if !due {
		return
	}
	line.Write(zap.String("endpoint", x.endpointName()), zap.String("reason", reason), zap.String("key", x.keyID()),
		zap.String("client_ip", x.clientIP()), zap.String("request_id", x.requestID()), zap.Int("suppressed", skipped))
}

// isServerStream reports whether the client waits for nothing in particular: such a stream may be silent for hours, and its
// client comes again when it ends.
func (x *gatewayRequest) isServerStream() bool {
	return x.endpoint.Group == docsgpt.GroupMCP && x.endpoint.Method == http.MethodGet
}

// serveTracked serves a request of the console or of Caddy's admin endpoint, which must not hold up the end of the process
// either.
func serveTracked(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	t := &tracked{w: &clientWriter{ResponseWriter: w}, conn: clientConnOf(r.Context()), http1: r.ProtoMajor == 1}
	control := http.NewResponseController(w)
	t.stop = func(cause error) {
		stop(cause)
		_ = control.SetReadDeadline(longAgo) // not supported everywhere; then the connection is closed later
		if t.conn == nil && t.http1 {
			_ = control.SetWriteDeadline(time.Now().Add(finalWrite)) // the admin endpoint
		}
	}
	if !requests.add(t) {
		http.Error(w, shuttingDown.Message, http.StatusServiceUnavailable)
		return
	}
	defer requests.remove(t)
	handler.ServeHTTP(w, r.WithContext(ctx))
}
