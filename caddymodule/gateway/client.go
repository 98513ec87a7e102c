package gateway

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/revocation"
	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/visitortoken"
)

// client is the client's side of a request: what it sent, where its response goes, and what error responses, logs and metrics
// say about it.
type client struct {
	handler *Handler
	r       *http.Request
	w       http.ResponseWriter // &writer
	writer  lifecycle.ClientWriter
	started time.Time
	id      [1]string // see requestID

	// What is known so far, for error responses, logs and metrics only.
	endpoint *endpoint
	key      *keys.Key // nil: not known
	rpcID    []byte    // of a JSON-RPC request; nil: none

	failed      bool // the response is an error
	wasAborted  bool // see untrack
	limitHeader limitHeader

	// Values of response headers, and of headers of the upstream request. A keepalive may set the former while the latter are set.
	responseValues, upstreamValues headerValues
	responseMemory                 [8]string
	upstreamMemory                 [5]string

	// signed is the visitor whose signed token the client has presented; nil: the key's own token, or none.
	signed *visitortoken.Visitor

	visitorID    ratelimit.Visitor // see visitor
	visitorKnown bool

	tracked lifecycle.Request
	use     revocation.Use
	ctx     context.Context         //nolint:containedctx // context of the upstream request; see startForwarding
	stop    context.CancelCauseFunc // cancels ctx
	unwatch func() bool             // may be nil

	blocks bool // the request has blocked its conversation; see continuesConversation

	messageWait *messageWait // &waitMemory; nil: the request ends with its client
	waitMemory  messageWait

	trace *requestTrace // nil: the request is not traced
}

// track starts to track the request, before its body is read. It reports false if the process is exiting.
func (c *client) track() bool { return lifecycle.Requests.Add(&c.tracked, &c.writer, c.r) }

// startForwarding creates the context of the upstream request. It ends when the client disconnects or reads too slowly, when
// the process shuts down and, for a server stream, when the configuration is unloaded. It reports false if the process is
// exiting.
func (c *client) startForwarding() bool {
	if c.handler.cancelsAnswers(c.endpoint) {
		c.startWithMessageWait()
	} else {
		c.ctx, c.stop = context.WithCancelCause(c.r.Context())
	}
	if !lifecycle.Requests.BodyRead(&c.tracked, c.stop) {
		return false
	}
	c.tracked.LimitUnsent()
	c.writer.Limit(c.r, time.Duration(c.handler.ClientWriteTimeout), c.handler.ClientMinRate)
	if c.endpoint.isServerStream {
		// The stream never ends, so Caddy would wait for it forever. Clients reconnect.
		c.unwatch = context.AfterFunc(c.handler.app.Lifetime(), func() { c.stop(lifecycle.ErrConfigUnloaded) })
	}
	return true
}

// untrack undoes track and startForwarding, and counts an aborted request.
func (c *client) untrack() {
	lifecycle.Requests.Remove(&c.tracked)
	c.unwatchKey()
	if c.stop == nil {
		return
	}
	if cause := c.aborted(); cause != nil {
		c.countAborted(cause)
	}
	if c.unwatch != nil {
		c.unwatch()
	}
	c.messageWait.end()
	c.stop(nil)
}

// aborted returns why the request was aborted while it was forwarded: ErrClientSlow, ErrDisconnected, ErrShuttingDown or
// ErrConfigUnloaded of package lifecycle, or errRevoked. It returns nil if the request was not aborted.
func (c *client) aborted() error {
	if c.writer.Slow() {
		return lifecycle.ErrClientSlow
	}
	cause := context.Cause(c.ctx)
	for _, known := range []error{lifecycle.ErrDisconnected, lifecycle.ErrShuttingDown, lifecycle.ErrConfigUnloaded, errRevoked} {
		if errors.Is(cause, known) {
			return known
		}
	}
	if c.r.Context().Err() != nil {
		return lifecycle.ErrDisconnected
	}
	return nil
}

// countAborted counts and logs an aborted request.
func (c *client) countAborted(cause error) {
	reason := abortReason(cause)
	if reason == "" {
		return // a server stream
	}
	c.wasAborted = true
	c.handler.state.abortedRequests.WithLabelValues(c.endpoint.Name, reason).Inc()
	level := zap.DebugLevel
	if errors.Is(cause, lifecycle.ErrClientSlow) || errors.Is(cause, errRevoked) {
		level = zap.InfoLevel
	}
	line := c.handler.logger.Check(level, "request aborted")
	if line == nil {
		return
	}
	skipped, due := c.handler.sampler.Allow(reason, c.keyID(), time.Now())
	if !due {
		return
	}
	line.Write(zap.String("endpoint", c.endpoint.Name), zap.String("reason", reason), zap.String("key", c.keyID()),
		zap.String("client_ip", c.ip()), zap.String("request_id", c.requestID()), zap.Int("suppressed", skipped))
}

// noteFirstEvent counts the time from the arrival of the request to the first event of a stream, and returns it.
func (c *client) noteFirstEvent() time.Duration {
	passed := time.Since(c.started)
	c.trace.observe(c.endpoint.first, passed.Seconds())
	c.trace.firstEvent()
	return passed
}

// abortReason returns the reason of an aborted request for metrics and logs. It is empty for a server stream, which clients open
// again.
func abortReason(cause error) string {
	switch {
	case errors.Is(cause, lifecycle.ErrClientSlow):
		return "client_too_slow"
	case errors.Is(cause, lifecycle.ErrDisconnected):
		return "client_disconnected"
	case errors.Is(cause, lifecycle.ErrShuttingDown):
		return errShuttingDown.Code
	case errors.Is(cause, errRevoked):
		return errKeyRevoked.Code
	default:
		return ""
	}
}

// setPlaceholders sets the placeholders of the key. Caddy's access log prints {http.auth.user.id} as user_id.
func (c *client) setPlaceholders(key *keys.Key) {
	repl, ok := c.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	h := c.handler
	repl.Map(func(name string) (any, bool) {
		switch name {
		case "docsgate.backend":
			return h.Backend, true
		case "http.auth.user.id", "docsgate.key.id":
			return key.ID, true
		case "docsgate.key.name":
			return key.Name, true
		case "docsgate.source":
			return strings.Join(key.Binding.Sources, ","), true
		}
		return nil, false
	})
}

// requestID returns the ID of the request for responses and logs: 16 random hexadecimal digits, generated on first use.
func (c *client) requestID() string {
	if c.id[0] == "" {
		var raw [8]byte
		binary.NativeEndian.PutUint64(raw[:], rand.Uint64()) //nolint:gosec // not a secret
		c.id[0] = hex.EncodeToString(raw[:])
	}
	return c.id[0]
}

// setRequestID adds the ID of the request to the response, so that users can report it.
func (c *client) setRequestID() {
	c.requestID()
	c.w.Header()["X-Request-Id"] = c.id[:]
}

func (c *client) keyID() string {
	if c.key == nil {
		return ""
	}
	return c.key.ID
}

func (c *client) ip() string {
	ip, _ := caddyhttp.GetVar(c.r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}
