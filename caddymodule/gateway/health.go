package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/buildinfo"
	"github.com/docsgate/docsgate/upstream"
	"github.com/docsgate/docsgate/upstream/reachability"
)

// healthPath is asked for any response. DocsGPT answers it without a credential, and without its database.
const healthPath = "/api/health"

// provisionHealth creates the monitor of the upstream, and adds the checks of the handler to those of the backend.
func (h *Handler) provisionHealth() {
	var check func(ctx context.Context) error
	if h.upstream != nil {
		check = h.checkUpstream
	}
	h.reachable = reachability.New(check, nil)
	h.backend.OnHealth(func(ctx context.Context) []app.HealthCheck {
		return []app.HealthCheck{h.queueHealth(), h.upstreamHealth(ctx)}
	})
}

// checkUpstream returns an error if the upstream does not respond, or with an error of a server, such as a proxy before a DocsGPT that is
// down.
func (h *Handler) checkUpstream(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	resp, err := h.upstream.Send(ctx, stop, upstream.Request{
		Method: http.MethodGet, Path: healthPath,
		Header: http.Header{"Accept": {jsonType}, "User-Agent": {buildinfo.UserAgent()}},
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no response within %s", reachability.CheckTimeout)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError {
		return statusError(resp.StatusCode)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, docsgpt.MaxError)) // so that the connection can be used again
	return nil
}

func statusError(status int) error { return fmt.Errorf("it responds with status %d", status) }

// upstreamHealth returns whether the upstream responds.
func (h *Handler) upstreamHealth(ctx context.Context) app.HealthCheck {
	c := app.HealthCheck{Check: app.CheckUpstream, State: app.HealthUnknown}
	if h.upstream != nil {
		c.Upstream = h.inFlight.upstream
	}
	result := h.reachable.State(ctx)
	switch result.State {
	case reachability.Responds:
		c.State = app.HealthOK
	case reachability.Fails:
		since := result.Since.UTC()
		c.State, c.Reason, c.Since = app.HealthFailed, "DocsGPT does not respond: "+result.Err.Error(), &since
	case reachability.Unknown:
		c.Reason = "no request was passed on in the last minute, and only the next handler can reach DocsGPT"
		if h.upstream != nil {
			c.Reason = "DocsGPT has not responded yet"
		}
	}
	return c
}

// queueHealth returns whether another answer could be in flight or wait.
func (h *Handler) queueHealth() app.HealthCheck {
	limits := h.inFlight.classes[classAnswer]
	c := app.HealthCheck{Check: app.CheckQueue, State: app.HealthOK, Queue: &app.QueueHealth{MaxInFlight: limits.Total, Queue: limits.Waiting}}
	if h.upstream != nil {
		c.Upstream = h.inFlight.upstream
	}
	for _, n := range h.inFlight.limiter.Counts() {
		if n.Upstream == h.inFlight.upstream && n.Class == inFlightNames[classAnswer] {
			c.Queue.InFlight, c.Queue.Waiting = n.InFlight, n.Waiting
		}
	}
	switch {
	case c.Queue.Waiting >= limits.Waiting && limits.Waiting > 0:
		c.State, c.Reason = app.HealthFailed, "the queue is full: requests are rejected"
	case c.Queue.InFlight >= limits.Total && limits.Waiting == 0:
		c.State, c.Reason = app.HealthFailed, "max_in_flight is reached, and there is no queue: requests are rejected"
	}
	return c
}

// isProxyStatus reports whether a status is that of a proxy before a DocsGPT that does not respond.
func isProxyStatus(status int) bool {
	return status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout
}

// noteUpstreamStatus records that the upstream has responded. An error of the model is a response, too.
func (h *Handler) noteUpstreamStatus(status int) {
	if !isProxyStatus(status) {
		h.reachable.Responded()
	}
}

// noteUpstreamFailure records that a request to the upstream has failed. status is that of the response; 0: there is none.
func (h *Handler) noteUpstreamFailure(code string, status int, cause error) {
	switch {
	case isProxyStatus(status):
		h.reachable.Failed(statusError(status))
	case status == 0 && (code == docsgpt.CodeUpstreamUnavailable || errors.Is(cause, upstream.ErrTimeout)):
		if cause == nil {
			cause = upstream.ErrUnavailable
		}
		h.reachable.Failed(cause)
	}
}
