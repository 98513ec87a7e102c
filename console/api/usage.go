package api

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
)

const (
	// DefaultUsageRange is the default range of usage over time.
	DefaultUsageRange = 24 * time.Hour

	defaultTop = 10
	maxTop     = 100
)

// UsageCounts are the counts of a time, in a response. Requests is the sum of Succeeded, Failed, Aborted and all of Rejected.
type UsageCounts struct {
	Requests              uint64          `json:"requests"`
	Succeeded             uint64          `json:"succeeded"`
	Failed                uint64          `json:"failed"`
	Aborted               uint64          `json:"aborted"`
	Rejected              UsageRejections `json:"rejected"`
	Streams               uint64          `json:"streams"`
	BytesReceived         uint64          `json:"bytes_received"`
	BytesSent             uint64          `json:"bytes_sent"`
	Answers               uint64          `json:"answers"`
	AnswersWithoutSources uint64          `json:"answers_without_sources"`
	Dislikes              uint64          `json:"dislikes"`
	Tokens                uint64          `json:"tokens"`
	EstimatedTokens       uint64          `json:"estimated_tokens"`
	Cost                  *UsageCost      `json:"cost,omitempty"` // nil: the price of tokens is not known
	FirstEvent            *UsageTimes     `json:"first_event_seconds,omitempty"`
	AnswerTime            *UsageTimes     `json:"answer_seconds,omitempty"`
}

// UsageCost is what tokens cost at the price in the configuration: Tokens and EstimatedTokens apart.
type UsageCost struct {
	Currency        string  `json:"currency"`
	Amount          float64 `json:"amount"`
	EstimatedAmount float64 `json:"estimated_amount"`
}

// UsageRejections are the numbers of rejected requests by the group of the reason.
type UsageRejections struct {
	Key     uint64 `json:"key"`
	Policy  uint64 `json:"policy"`
	Limit   uint64 `json:"limit"`
	Busy    uint64 `json:"busy"`
	Request uint64 `json:"request"`
}

// UsageTimes is a distribution of times, in seconds.
type UsageTimes struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"` // P50 and P95 are estimated from a histogram
	P95  float64 `json:"p95"`
}

// UsagePoint are the counts of one step, which starts at Start.
type UsagePoint struct {
	Start time.Time `json:"start"`
	UsageCounts
}

// Usage is usage over time in a response. Points without requests are missing.
type Usage struct {
	Since  time.Time    `json:"since"` // start of the first point
	Until  time.Time    `json:"until"` // end of the last point
	Step   uint64       `json:"step_seconds"`
	Total  UsageCounts  `json:"total"`
	Points []UsagePoint `json:"points"`
	Keys   []UsageOfKey `json:"keys,omitempty"` // with the most requests; only of all keys
}

// UsageOfKey is the number of requests of a key.
type UsageOfKey struct {
	Key      string `json:"key"`
	Name     string `json:"name,omitempty"`
	Requests uint64 `json:"requests"`
}

func responseCounts(c *series.Counts, price tokenprice.Price) UsageCounts {
	counts := UsageCounts{
		Requests: c.Total(), Succeeded: c.Succeeded(), Failed: c[series.Failed], Aborted: c[series.Aborted],
		Rejected: UsageRejections{
			c[series.RejectedKey], c[series.RejectedPolicy], c[series.RejectedLimit], c[series.RejectedBusy], c[series.RejectedRequest],
		},
		Streams: c[series.Streams], BytesReceived: c[series.BytesReceived], BytesSent: c[series.BytesSent],
		Answers: c[series.Answers], AnswersWithoutSources: c[series.WithoutSources], Dislikes: c[series.Dislikes],
		Tokens: c[series.Tokens], EstimatedTokens: c[series.EstimatedTokens],
		FirstEvent: responseTimes(c.FirstEvent()), AnswerTime: responseTimes(c.AnswerTime()),
	}
	if !price.IsZero() {
		counts.Cost = &UsageCost{price.Currency, price.Of(counts.Tokens), price.Of(counts.EstimatedTokens)}
	}
	return counts
}

func responseTimes(t series.Times) *UsageTimes {
	if t.Count == 0 {
		return nil
	}
	return &UsageTimes{
		Mean: millis(t.Sum.Seconds() / float64(t.Count)), P50: millis(t.Quantile(0.5).Seconds()), P95: millis(t.Quantile(0.95).Seconds()),
	}
}

// millis rounds seconds to milliseconds.
func millis(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }

func responseUsage(r *series.Result, price tokenprice.Price) Usage {
	u := Usage{
		Since: r.Since, Until: r.Until, Step: uint64(r.Step / time.Second), Total: responseCounts(&r.Total, price),
		Points: make([]UsagePoint, len(r.Points)),
	}
	for i := range r.Points {
		u.Points[i] = UsagePoint{r.Points[i].Start, responseCounts(&r.Points[i].Counts, price)}
	}
	return u
}

// usageQuery returns the query in the parameters since and step.
func (a *api) usageQuery(values url.Values) (q series.Query, err error) {
	if a.Service.History == nil {
		return q, errNotRunning("the usage of keys over time")
	}
	now := a.Now()
	q.Since, q.Until = now.Add(-DefaultUsageRange), now
	if values.Has("since") {
		if q.Since, err = duration.ParsePast(values.Get("since"), now); err != nil {
			return q, invalidParameter("since", "must be a duration such as 7d, a date or a time such as 2027-01-31T00:00:00Z")
		}
	}
	if values.Has("step") {
		if q.Step, err = duration.Parse(values.Get("step")); err != nil || q.Step <= 0 {
			return q, invalidParameter("step", "must be a duration such as 5m, 1h or 1d")
		}
	}
	return q, nil
}

// usagePoints runs a query.
func (a *api) usagePoints(r *http.Request, q series.Query) (Usage, error) {
	result, err := a.Service.History.Points(r.Context(), q)
	if invalid, ok := errors.AsType[*series.QueryError](err); ok {
		return Usage{}, invalidParameter(invalid.Field, invalid.Reason)
	}
	if err != nil {
		return Usage{}, err
	}
	return responseUsage(result, a.Service.TokenPrice), nil
}

func (a *api) showKeyUsage(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "since", "step")
	if err != nil {
		return err
	}
	q, err := a.usageQuery(values)
	if err != nil {
		return err
	}
	key, err := a.Service.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	q.Key = key.ID
	usage, err := a.usagePoints(r, q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, usage)
	return nil
}

func (a *api) showUsage(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "since", "step", "top")
	if err != nil {
		return err
	}
	top, err := number(values, "top", defaultTop, maxTop)
	if err != nil {
		return err
	}
	q, err := a.usageQuery(values)
	if err != nil {
		return err
	}
	usage, err := a.usagePoints(r, q)
	if err != nil {
		return err
	}
	keys, err := a.Service.History.Top(r.Context(), q, int(top))
	if err != nil {
		return err
	}
	for _, k := range keys {
		usage.Keys = append(usage.Keys, UsageOfKey{k.Key, a.Service.NameOf(k.Key), k.Total})
	}
	writeJSON(w, http.StatusOK, usage)
	return nil
}
