package gateway

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// requestUsage is what the usage of a key over time needs to know of a request.
type requestUsage struct {
	rejected *apiError // nil: the request was not rejected
	allowed  bool
	question bool // see isQuestion
	dislike  bool // the request is a negative rating

	size   int64  // of the forwarded body, in bytes
	tokens uint64 // that the answer has cost, as the response says; 0: unknown
}

// observe counts the request, when it has ended, in the metrics of its endpoint.
func (x *gatewayRequest) observe() {
	c, e := &x.client, x.client.endpoint
	passed := time.Since(c.started).Seconds()
	c.trace.observe(e.duration, passed)
	if x.writer.response.stream.stop() {
		c.trace.observe(e.stream, passed)
	}
	e.received.Add(float64(x.usage.size))
	e.sent.Add(float64(c.writer.Written()))
}

// recordUsage counts the request, when it has ended, in the usage of its key over time.
func (x *gatewayRequest) recordUsage() {
	c, u := &x.client, &x.usage
	history := c.handler.backend.State().History()
	if history == nil || c.key == nil || !u.allowed && u.rejected == nil {
		return
	}
	counts := series.Counts{series.BytesSent: uint64(c.writer.Written())}
	if u.allowed {
		x.countResponse(&counts)
	} else {
		counts[rejectionField(u.rejected)] = 1
	}
	history.Record(c.key.ID, time.Now(), &counts)
}

// countResponse counts a request that was passed on.
func (x *gatewayRequest) countResponse(counts *series.Counts) {
	c, u, res := &x.client, &x.usage, &x.writer.response
	counts[series.Requests] = 1
	counts[series.BytesReceived] = uint64(u.size)
	if res.stream.stop() {
		counts[series.Streams] = 1
	}
	if res.firstEvent > 0 && u.question {
		counts.AddFirstEvent(res.firstEvent)
	}
	if u.question && x.quota == nil && res.status > 0 && res.status < http.StatusMultipleChoices {
		x.countTokens(counts)
	}
	counts[series.Tokens] += u.tokens
	switch {
	case c.wasAborted:
		counts[series.Aborted] = 1
		return
	case c.failed:
		counts[series.Failed] = 1
		return
	}
	if u.dislike {
		counts[series.Dislikes] = 1
	}
	if !u.question {
		return
	}
	counts.AddAnswer(time.Since(c.started))
	if c.endpoint.Group != docsgpt.GroupMCP && !res.sources && !res.filter.HasSources() {
		counts[series.WithoutSources] = 1
	}
}

// countTokens counts the tokens of an answer of a key without quotas: those that the response names, or else an estimate.
func (x *gatewayRequest) countTokens(counts *series.Counts) {
	res := &x.writer.response
	if x.client.endpoint.Relay == docsgpt.RelayChunks && !res.filter.Verbatim {
		if tokens, _, ok := docsgpt.Usage(res.out); ok {
			counts[series.Tokens] = uint64(tokens.Total)
			return
		}
	}
	counts[series.EstimatedTokens] = uint64(estimateTokens(x.usage.size, res))
}

// onTokens returns a function that counts the final number of tokens of an estimated answer, which may be known after the request.
func (x *gatewayRequest) onTokens() func(tokens int64, exact bool) {
	h, key, ended := x.client.handler, x.client.key.ID, time.Now()
	history := h.backend.State().History()
	return func(tokens int64, exact bool) {
		h.state.countTokens(tokens, exact)
		if history == nil {
			return
		}
		counts, field := series.Counts{}, series.EstimatedTokens
		if exact {
			field = series.Tokens
		}
		counts[field] = uint64(max(tokens, 0))
		history.Record(key, ended, &counts)
	}
}

// rejectionField returns the field that counts requests rejected with an error.
func rejectionField(e *apiError) series.Field {
	switch e.Code {
	case queueFull, queueTimeout:
		return series.RejectedBusy
	case "question_too_long":
		return series.RejectedLimit
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		return series.RejectedKey
	case e.Status == http.StatusForbidden:
		return series.RejectedPolicy
	case e.Status == http.StatusTooManyRequests:
		return series.RejectedLimit
	case e.Status >= http.StatusInternalServerError, e.Status == errClientGone.Status:
		return series.RejectedBusy
	default:
		return series.RejectedRequest
	}
}
