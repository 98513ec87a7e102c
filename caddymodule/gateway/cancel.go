package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/upstream"
	"github.com/docsgate/docsgate/upstream/cancellation"
)

// Cancellations cancels abandoned answers of the process, also after their requests and their configuration have ended.
var Cancellations = new(cancellation.Canceler)

const (
	// shutdownCancel is how long a request that the shutdown has ended waits for its cancellation, since the process exits with
	// the last request.
	shutdownCancel = time.Second

	nextCancel = 5 * time.Second // for a cancellation through the next handler, which delays the end of the request

	maxCancelBody = 4 << 10 // bytes of DocsGPT's response to a cancellation
)

// provisionCancel creates the target of cancellations. It must be called when the address of the upstream is known.
func (h *Handler) provisionCancel() {
	token := h.backend.Credential().Reveal()
	if h.upstream == nil {
		h.cancelTarget = cancellation.NewTarget(token) // the next handlers of two sites may forward to different servers
		return
	}
	h.cancelTarget = Cancellations.Target(h.inFlight.upstream, token)
}

// cancelsAnswers reports whether answers of an endpoint can be canceled as far as is known: DocsGPT names the message only on
// /stream.
func (h *Handler) cancelsAnswers(e *endpoint) bool {
	if e.Relay != docsgpt.RelayEvents || !h.backend.Version().CancelsAnswers {
		return false
	}
	_, blocked := h.cancelTarget.Blocked()
	return !blocked
}

// abandonedAnswer is an answer that the gate no longer relays, but that DocsGPT may continue. It holds the slot of its request.
type abandonedAnswer struct {
	handler   *Handler
	reason    string
	keyID     string
	requestID string
	result    chan struct{} // closed when the cancellation has ended

	once  sync.Once
	slot  inflight.Slot
	timer *time.Timer
}

// cancelAbandoned cancels the answer at DocsGPT if the gate has stopped relaying it before its end. err is why the response has ended.
// The answer counts as in flight until it is canceled, at most for abandonedHold.
func (x *gatewayRequest) cancelAbandoned(err error, next caddyhttp.Handler) {
	c, res := &x.client, &x.writer.response
	if !x.slot.abandoned || !x.slot.continues || res.filter.Done() {
		return
	}
	reason := abandonReason(err, c.aborted(), res)
	message := res.filter.MessageID()
	if result := c.uncancelable(message); result != "" {
		c.handler.state.cancelledAnswers.WithLabelValues(reason, result).Inc()
		return
	}
	a := &abandonedAnswer{
		handler: c.handler, reason: reason, keyID: c.keyID(), requestID: c.requestID(), result: make(chan struct{}),
		slot: x.slot.Slot,
	}
	x.slot.Slot = inflight.Slot{}
	a.timer = time.AfterFunc(abandonedHold, a.release)
	if c.handler.upstream == nil {
		limit := nextCancel
		if reason == errShuttingDown.Code {
			limit = shutdownCancel
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), limit)
		defer cancel()
		a.done(c.handler.cancelTarget.Cancel(ctx, message, func(ctx context.Context, path, token string) (int, []byte, error) {
			return c.cancelNext(ctx, path, token, next)
		}))
		return
	}
	Cancellations.Cancel(&cancellation.Answer{
		Message: message, Target: c.handler.cancelTarget, Send: c.handler.sendCancel, Done: a.done,
	})
	if reason == errShuttingDown.Code {
		select {
		case <-a.result:
		case <-time.After(shutdownCancel):
		}
	}
}

// resultUnnamed is the result of an answer whose message DocsGPT has not named, in metrics.
const resultUnnamed = "unnamed"

// uncancelable returns why the answer of a message cannot be canceled, as a result for metrics; empty: it can be tried.
func (c *client) uncancelable(message docsgpt.MessageID) string {
	result, blocked := c.handler.cancelTarget.Blocked()
	switch {
	case !c.handler.backend.Version().CancelsAnswers:
		return cancellation.Unsupported.String()
	case c.endpoint.Relay != docsgpt.RelayEvents:
		return resultUnnamed
	case blocked:
		return result.String()
	case message.IsZero():
		return resultUnnamed
	default:
		return ""
	}
}

// abandonReason returns why an answer was abandoned, for metrics.
func abandonReason(err, aborted error, res *response) string {
	switch {
	case aborted != nil:
		return abortReason(aborted)
	case res.toolCall != nil:
		return docsgpt.CodeToolsNotAllowed
	case errors.Is(err, upstream.ErrTimeout), errors.Is(err, upstream.ErrIdleTimeout):
		return "upstream_timeout"
	case errors.Is(err, docsgpt.ErrEventTooLarge):
		return "event_too_large"
	default:
		return abortReason(lifecycle.ErrDisconnected) // writing to the client has failed
	}
}

// done handles the outcome of the cancellation.
func (a *abandonedAnswer) done(outcome cancellation.Outcome) {
	defer close(a.result)
	a.handler.state.cancelledAnswers.WithLabelValues(a.reason, outcome.Result.String()).Inc()
	if outcome.Result.Ended() {
		a.timer.Stop()
		a.release()
	}
	if outcome.Learned {
		a.handler.logger.Warn("DocsGPT does not let the gate cancel answers that no client reads any longer; it continues them to their end, "+
			"at the cost of the model. The gate tries again after 10 minutes",
			zap.String("result", outcome.Result.String()), zap.String("fix", cancelFix[outcome.Result]))
	}
	if line := a.handler.logger.Check(zap.DebugLevel, "abandoned answer"); line != nil {
		line.Write(zap.String("reason", a.reason), zap.String("result", outcome.Result.String()), zap.String("key", a.keyID),
			zap.String("request_id", a.requestID))
	}
}

// cancelFix says what an operator can do about a result.
var cancelFix = map[cancellation.Result]string{
	cancellation.NotAllowed:  "use a session token of the account for upstream_token: DocsGPT does not accept personal access tokens for this",
	cancellation.NotFound:    "use a session token of the account that the agents and sources belong to for upstream_token",
	cancellation.Unsupported: "set docsgpt_version to the version of DocsGPT; a handler after the gate must forward /api/messages/*/cancel",
}

// release releases the slot of the answer.
func (a *abandonedAnswer) release() { a.once.Do(a.slot.Release) }

// sendCancel sends a cancellation over the built-in upstream connections.
func (h *Handler) sendCancel(ctx context.Context, path, token string) (status int, body []byte, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	resp, err := h.upstream.Send(ctx, stop, upstream.Request{Method: http.MethodPost, Path: path, Header: cancelHeader(token)})
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxCancelBody))
	return resp.StatusCode, body, err
}

func cancelHeader(token string) http.Header {
	header := http.Header{"Accept": {jsonType}, "Accept-Encoding": {"identity"}, "User-Agent": {""}}
	if token != "" {
		header["Authorization"] = []string{"Bearer " + token}
	}
	return header
}

// cancelNext sends a cancellation through the next handler. The handler may be used only until the request ends.
func (c *client) cancelNext(ctx context.Context, path, token string, next caddyhttp.Handler) (status int, body []byte, err error) {
	up := upstreamRequest{method: http.MethodPost, path: path, header: cancelHeader(token)}
	p := sourceResult{header: http.Header{}}
	server, _ := c.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	r := nextRequest(c, &up).WithContext(ctx)
	err = callNext(next, &p, &p.wroteHeader, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), &p, server))
	return p.status, p.body, err
}
