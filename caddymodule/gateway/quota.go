package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/upstream"
)

// questionQuota is the question of a key with quotas: what it has reserved, and what its answer has cost.
type questionQuota struct {
	limits      quota.Limits
	calendar    *quota.Calendar
	reservation quota.Reservation

	forwarded bool // the request was passed on to DocsGPT
	unsent    bool // but did not reach it

	usage     int64 // tokens, as the response says
	hasUsage  bool
	hideUsage bool // the client has not asked for the usage of a stream
}

// isQuestion reports whether a request is a question: it is for an answer of DocsGPT.
func isQuestion(e *endpoint, access *authorization) bool {
	switch e.Group {
	case docsgpt.GroupMCP:
		return access.call.Class() == docsgpt.ClassAnswer
	case docsgpt.GroupWidget, docsgpt.GroupOpenAI:
		return e.Class == docsgpt.ClassAnswer
	case docsgpt.GroupAttachments, docsgpt.GroupArtifacts, docsgpt.GroupSpeech, docsgpt.GroupHealth:
	}
	return false
}

// quotaOf returns the question of a key with these limits, or nil if there is no quota among them.
func quotaOf(l *policy.Limits) *questionQuota {
	limits := quota.Limits{
		QuestionsPerDay: int64(l.QuestionsPerDay.Count()), QuestionsPerMonth: int64(l.QuestionsPerMonth.Count()),
		TokensPerDay: int64(l.TokensPerDay.Count()),
	}
	if limits.IsZero() {
		return nil
	}
	return &questionQuota{limits: limits}
}

// quotaCounter counts the questions of keys: of this gate, or of all gates that share their limits.
type quotaCounter interface {
	Reserve(p *quota.Period, key string, l quota.Limits, dryRun quota.Set) (quota.Reservation, quota.Decision)
}

// quotas returns the counter of questions.
func (h *Handler) quotas() quotaCounter {
	if h.sharedQuotas != nil {
		return h.sharedQuotas
	}
	return h.backend.Counters().Quotas
}

// quotasInDryRun returns the quotas that only count what they would have rejected.
func (h *Handler) quotasInDryRun() (s quota.Set) {
	for _, l := range []quota.Limit{quota.QuestionsPerDay, quota.QuestionsPerMonth, quota.TokensPerDay} {
		if h.isDryRun(l.String()) {
			s |= quota.Of(l)
		}
	}
	return s
}

// reserveQuota counts a question of a key with quotas, and sets the RateLimit headers if a quota is its tightest limit. It returns an
// error if a quota is exceeded.
func (x *gatewayRequest) reserveQuota(key *keys.Key) *apiError {
	c := &x.client
	calendar := c.handler.backend.QuotaCalendar()
	reservation, d := c.handler.quotas().Reserve(calendar.At(c.started), key.ID, x.quota.limits, c.handler.quotasInDryRun())
	for _, l := range []quota.Limit{quota.QuestionsPerDay, quota.QuestionsPerMonth, quota.TokensPerDay} {
		if d.WouldReject.Has(l) {
			c.handler.state.wouldReject.WithLabelValues(quotaExceeded).Inc()
		}
	}
	c.setQuotaHeaders(&d)
	if d.Rejected != quota.None {
		return c.quotaError(key, &d)
	}
	x.quota.calendar, x.quota.reservation = calendar, reservation
	if c.endpoint.Body == docsgpt.BodyJSON {
		x.body.wantsUsage, x.quota.hideUsage = true, !x.body.json.AsksForUsage()
	}
	return nil
}

const quotaExceeded = "quota_exceeded"

// errQuotaInFlight is the error while only the reservations of answers in flight reach a quota.
var errQuotaInFlight = newRetryableError(http.StatusTooManyRequests, quotaExceeded, retryAfter(streamsRetry),
	"Too many questions are being answered at the moment. Please try again in a few seconds.")

// quotaError returns the error of an exceeded quota.
func (c *client) quotaError(key *keys.Key, d *quota.Decision) *apiError {
	if d.InFlight {
		return c.handler.limitError(key, errQuotaInFlight, streamsRetry)
	}
	period := "today"
	if d.Rejected == quota.QuestionsPerMonth {
		period = "this month"
	}
	wait := d.Reset.Sub(c.started)
	return c.handler.limitError(key, newRetryableError(http.StatusTooManyRequests, quotaExceeded, retryAfter(wait),
		"The limit of questions for "+period+" is reached. Please try again after "+d.Reset.Format("2006-01-02 15:04 MST")+"."), wait)
}

// watch makes a response report what an answer costs.
func (q *questionQuota) watch(res *response) {
	res.filter.FindRequestID = q.limits.TokensPerDay > 0
	if res.client.endpoint.Relay == docsgpt.RelayChunks {
		res.filter.OnEvent = q.onEvent
	}
}

// onEvent reads the usage in an event of a completion, and drops the event if it contains nothing else and the client has not asked
// for it.
func (q *questionQuota) onEvent(event []byte) []byte {
	tokens, sole, ok := docsgpt.EventUsage(event)
	if !ok {
		return event
	}
	q.usage, q.hasUsage = tokens.Total, true
	if sole && q.hideUsage {
		return nil
	}
	return event
}

// isUnsent reports whether an error before a response means that the request did not reach DocsGPT.
func isUnsent(err error) bool {
	return errors.Is(err, upstream.ErrUnavailable) || errors.Is(err, errNoHandler) || isNextRejection(err)
}

// Sources of the number of tokens of an answer, in metrics.
const (
	fromUsage    = "usage"
	fromTable    = "token_usage"
	fromEstimate = "estimate"
)

// countTokens counts the final number of tokens of an estimated answer.
func (s *BackendState) countTokens(tokens int64, exact bool) {
	source := fromEstimate
	if exact {
		source = fromTable
	}
	s.tokensSettled.WithLabelValues(source).Add(float64(tokens))
}

// endQuota settles the question, or releases it if it did not reach DocsGPT.
func (x *gatewayRequest) endQuota() {
	q, res, h := x.quota, &x.writer.response, x.client.handler
	if q == nil {
		return
	}
	if !q.forwarded || q.unsent {
		q.reservation.Release()
		return
	}
	switch period := q.calendar.At(time.Now()); {
	case res.status >= 300: // DocsGPT has rejected the question
		q.reservation.Settle(period, 0)
	case q.readUsage(res):
		q.reservation.Settle(period, q.usage)
		x.usage.tokens = uint64(q.usage)
		h.state.tokensSettled.WithLabelValues(fromUsage).Add(float64(q.usage))
	default:
		tokens := estimateTokens(x.usage.size, res)
		if x.slot.abandoned { // DocsGPT continues the answer
			tokens = max(tokens, q.reservation.Tokens())
		}
		h.backend.Counters().Tokens.Add(quota.Answer{
			RequestID: res.filter.RequestID(), Complete: res.filter.Done(),
			Estimate: q.reservation.SettleEstimate(period, tokens), Settled: x.onTokens(),
		})
	}
}

// An estimate of tokens assumes four bytes for each, and a constant number for the parts of the prompt that the gate does not see: the
// instructions, and the text of the sources.
const (
	bytesPerToken = 4
	hiddenTokens  = 1000
)

// readUsage reports whether the response says what the answer has cost.
func (q *questionQuota) readUsage(res *response) bool {
	if res.client != nil && res.client.endpoint.Relay == docsgpt.RelayChunks && !q.hasUsage {
		tokens, _, ok := docsgpt.Usage(res.out)
		q.usage, q.hasUsage = tokens.Total, ok
	}
	return q.hasUsage
}

// estimateTokens estimates the number of tokens of an answer to a request of this size.
func estimateTokens(size int64, res *response) int64 {
	text := res.received
	if res.filter.CountText {
		text = res.filter.Text()
	}
	return (size+int64(text))/bytesPerToken + hiddenTokens
}
