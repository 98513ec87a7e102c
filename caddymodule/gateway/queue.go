package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// Defaults of Handler.Queue and Handler.QueueTimeout.
const (
	DefaultQueue        = 200
	DefaultQueueTimeout = time.Minute
)

// maxQueue is the largest Handler.Queue. Each entry may hold a body of maxQueuedBody.
const maxQueue = 10_000

const (
	// shortWait is how long a short request waits for a free slot. Search widgets send a request with each keystroke, so
	// the requests come in bursts; DocsGPT takes some 10 ms for each.
	shortWait = 5 * time.Second

	// The largest body, in bytes, of a request that waits, since it is held in memory: of a short request, and of a question, which
	// includes the history.
	maxWaitingBody = 64 << 10
	maxQueuedBody  = 256 << 10

	// queueKeepalive is the longest silence for a client that waits for a slot. A page that shows nothing for longer looks broken.
	queueKeepalive = 5 * time.Second
)

// Bounds of the header Retry-After of requests that the queue rejects, and its value before anything is measured.
const (
	minQueueRetry     = time.Second
	maxQueueRetry     = 5 * time.Minute
	unknownQueueRetry = streamsRetry
)

// Codes of the errors of the queue, and the reason of a request that had to leave it for another one.
const (
	queueFull    = "queue_full"
	queueTimeout = "queue_timeout"
	queueEvicted = "queue_evicted"
)

// queueMessage is the sentence for requests that the queue rejects.
const queueMessage policy.LimitMessage = "Too many questions are waiting for an answer. Please try again in {wait}."

// checkQueue validates the options of the queue.
func checkQueue(size *int, timeout time.Duration) error {
	switch {
	case size != nil && (*size < 0 || *size > maxQueue):
		return fmt.Errorf("queue must be from 0 to %d", maxQueue)
	case timeout < 0:
		return errors.New("queue_timeout must not be negative")
	}
	return nil
}

// mayWait returns how long a request may wait for a slot.
func (l *inFlightLimits) mayWait(class inFlightClass, body *requestBody) time.Duration {
	wait, most := shortWait, maxWaitingBody
	if class == classAnswer {
		wait, most = l.queueTimeout, maxQueuedBody
	}
	if body.buffer != nil && cap(body.buffer.Bytes) > most {
		return 0
	}
	return wait
}

// takeSlot counts the request as in flight, or rejects it because of a limit. It waits for a slot if the class has
// a queue; meanwhile a client that expects a stream gets keepalives.
func (x *gatewayRequest) takeSlot(key *keys.Key, access *authorization) *apiError {
	c, s, limits := &x.client, &x.slot, &x.client.handler.inFlight
	e, class := c.endpoint, inFlightClassOf(c.endpoint, key, access)
	s.short = e.Class == docsgpt.ClassShort
	s.continues = e.Class == docsgpt.ClassAnswer && !e.Download && c.handler.backend.Version().FinishesAbandoned
	request := inflight.Request{
		Upstream: limits.upstream, Class: inFlightNames[class], Namespace: c.handler.Backend, Key: c.keyID(),
	}
	if sources := fanOutSources(e, key); sources != nil {
		request.Cost = min(len(sources), maxConcurrentSearches)
	}
	decision := limits.limiter.Acquire(c.ctx, &s.Slot, request, limits.classes[class], 0)
	if decision == inflight.Acquired {
		return nil
	}
	queued := false
	wait := limits.mayWait(class, &x.body)
	switch {
	case wait > 0 && limits.classes[class].Waiting > 0:
		queued = class == classAnswer
		if !lifecycle.Requests.BeginWait(&c.tracked) {
			return errShuttingDown
		}
		if class == classAnswer && (x.expectsStream() || x.acceptsEvents(access)) {
			x.writer.response.stream.start(c, min(queueKeepalive, c.handler.sseKeepalive()), true)
		}
		decision = x.wait(&request, key, class, wait)
		lifecycle.Requests.EndWait(&c.tracked)
	case decision == inflight.ShareLimit:
		if !lifecycle.Requests.BeginWait(&c.tracked) {
			return errShuttingDown
		}
		decision = x.waitForShare(&request, class)
		lifecycle.Requests.EndWait(&c.tracked)
	}
	return x.slotError(decision, key, class, queued)
}

// wait waits for a slot, in the turn of the key and the visitor.
func (x *gatewayRequest) wait(request *inflight.Request, key *keys.Key, class inFlightClass, wait time.Duration) inflight.Decision {
	c, limits := &x.client, &x.client.handler.inFlight
	if key != nil {
		visitor := c.visitor(key)
		request.Visitor = visitor.ID()
		limits := c.handler.limitsOf(key, c.signed != nil)
		request.Weight = limits.Weight.Count()
	}
	begun := time.Now()
	defer c.trace.startWait(inFlightNames[class])()
	decision := limits.limiter.Acquire(c.ctx, &x.slot.Slot, *request, limits.classes[class], wait)
	if decision != inflight.KeyLimit && decision != inflight.TotalLimit {
		c.handler.state.queueSeconds.WithLabelValues(inFlightNames[class]).Observe(time.Since(begun).Seconds())
	}
	if reason := queueRejections[decision]; reason != "" {
		c.handler.state.queueRejected.WithLabelValues(inFlightNames[class], reason).Inc()
	}
	return decision
}

// queueRejections are the values of the label reason of the metric.
var queueRejections = map[inflight.Decision]string{
	inflight.KeyLimit: "full", inflight.TotalLimit: "full", inflight.Evicted: "evicted",
	inflight.KeyTimeout: "timeout", inflight.TotalTimeout: "timeout",
}

// slotError returns the error for a decision, or nil if the request has a slot. queued says that the request is one of those that
// wait in the queue for answers.
func (x *gatewayRequest) slotError(decision inflight.Decision, key *keys.Key, class inFlightClass, queued bool) *apiError {
	c := &x.client
	switch decision {
	case inflight.Acquired:
		return nil
	case inflight.Cancelled:
		if apiErr := endedByGate(c.aborted()); apiErr != nil {
			return apiErr
		}
		return errClientGone
	case inflight.KeyLimit, inflight.KeyTimeout, inflight.TotalLimit, inflight.TotalTimeout, inflight.Evicted,
		inflight.ShareLimit:
	}
	switch {
	case queued:
		return c.queueError(decision)
	case class != classKeyless && (decision == inflight.KeyLimit || decision == inflight.KeyTimeout):
		return c.handler.limitError(key, errTooManyStreams, streamsRetry)
	default:
		return errOverloaded
	}
}

// queueError returns the error of a request that the queue for answers rejects, with the time in which the queue empties at the rate
// at which it does now.
func (c *client) queueError(decision inflight.Decision) *apiError {
	limits := &c.handler.inFlight
	wait := limits.limiter.EstimatedWait(limits.upstream, inFlightNames[classAnswer])
	if wait == 0 {
		wait = unknownQueueRetry
	}
	wait = min(max(wait, minQueueRetry), maxQueueRetry)
	code, reason := queueFull, ""
	switch decision {
	case inflight.KeyTimeout, inflight.TotalTimeout:
		code = queueTimeout
	case inflight.Evicted:
		reason = queueEvicted
	default:
	}
	apiErr := newRetryableError(http.StatusTooManyRequests, code, retryAfter(wait), queueMessage.Format(wait))
	apiErr.reason = reason
	return apiErr
}
