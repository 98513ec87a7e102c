package ui

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
)

// usageSection is the usage of a key, or of all keys, in a range.
type usageSection struct {
	*usageChart
	Numbers    []usageNumber
	Rejections []usageNumber // without those that are 0
}

// usageNumber is a number with its label. Note is shown behind it; it may be empty.
type usageNumber struct{ Label, Value, Note string }

// rejectionLabels are the labels of series.Rejections.
var rejectionLabels = map[series.Field]string{
	series.RejectedKey:     "The key or the visitor's token is not valid",
	series.RejectedPolicy:  "Not allowed by the policy",
	series.RejectedLimit:   "Over a limit",
	series.RejectedBusy:    "Too busy, or not ready",
	series.RejectedRequest: "The request is not valid",
}

// usageOf returns the usage in the range that the query of the page selects, or nil if it is not recorded.
func (p *Page) usageOf(r *http.Request, key string) (*usageSection, error) {
	if p.Service.History == nil {
		return nil, nil //nolint:nilnil // documented
	}
	span := usageRangeOf(r.URL.Query())
	result, err := p.Service.History.Points(r.Context(), span.query(key, p.now()))
	if err != nil {
		return nil, err
	}
	s := &usageSection{usageChart: span.chartOf(result), Numbers: numbersOf(&result.Total, p.Service.TokenPrice)}
	for _, field := range series.Rejections {
		if n := result.Total[field]; n > 0 {
			s.Rejections = append(s.Rejections, usageNumber{Label: rejectionLabels[field], Value: comma(n)})
		}
	}
	return s, nil
}

// numbersOf returns what a section says besides the chart. The cost of tokens is among it if their price is known.
func numbersOf(c *series.Counts, price tokenprice.Price) []usageNumber {
	tokens := usageNumber{Label: "Model tokens", Value: comma(c[series.Tokens] + c[series.EstimatedTokens])}
	if n := c[series.EstimatedTokens]; n > 0 {
		tokens.Note = comma(n) + " are estimated"
	}
	answers, first := c.AnswerTime(), c.FirstEvent()
	numbers := []usageNumber{
		{"Answers", comma(c[series.Answers]), ""},
		{"Time of an answer", median(&answers), p95Note(&answers)},
		{"Time to the first event", median(&first), p95Note(&first)},
		{"Answers without sources", comma(c[series.WithoutSources]), percent(c[series.WithoutSources], c[series.Answers])},
		{"Dislikes", comma(c[series.Dislikes]), ""},
		{"Streams", comma(c[series.Streams]), ""},
		{"Received, sent", humanize.Bytes(c[series.BytesReceived]) + ", " + humanize.Bytes(c[series.BytesSent]), ""},
		tokens,
	}
	if !price.IsZero() {
		numbers = append(numbers, costOf(c, price))
	}
	return numbers
}

// costOf returns what the tokens cost.
func costOf(c *series.Counts, price tokenprice.Price) usageNumber {
	cost := usageNumber{
		Label: "Cost of the tokens", Value: tokenprice.Format(price.Of(c[series.Tokens]+c[series.EstimatedTokens]), price.Currency),
	}
	if n := c[series.EstimatedTokens]; n > 0 {
		cost.Note = tokenprice.Format(price.Of(n), price.Currency) + " is estimated"
	}
	return cost
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }

// percent returns a part of all in percent, or "" if there are none.
func percent(part, all uint64) string {
	if all == 0 || part == 0 {
		return ""
	}
	return strings.TrimSuffix(humanize.FtoaWithDigits(float64(part)/float64(all)*100, 1), ".0") + " %"
}

// median returns the median of times, or "-" if there are none.
func median(t *series.Times) string {
	if t.Count == 0 {
		return "-"
	}
	return seconds(t.Quantile(0.5))
}

func p95Note(t *series.Times) string {
	if t.Count == 0 {
		return ""
	}
	return "95 % within " + seconds(t.Quantile(0.95))
}

func seconds(d time.Duration) string { return humanize.FtoaWithDigits(d.Seconds(), 1) + " s" }

// usagePage is the body of the page with the usage of all keys.
type usagePage struct {
	Usage  *usageSection // nil: not recorded
	Health []keyservice.Health
	Top    []topKey
	Recent string // what DocsGPT has responded with lately
	Bad    bool   // of Recent: DocsGPT has failed
}

// topKey is a key with many requests.
type topKey struct {
	ID, Name, Path string
	Requests       string
}

const (
	topKeys = 10

	// recentRange is how far the state of DocsGPT looks back.
	recentRange = 15 * time.Minute
)

func (p *Page) showUsage(w http.ResponseWriter, r *http.Request) error {
	var b usagePage
	var err error
	if p.Service.Health != nil {
		b.Health = p.Service.Health(r.Context())
	}
	if b.Usage, err = p.usageOf(r, series.AllKeys); err != nil {
		return err
	}
	if b.Usage != nil {
		if err := p.addTop(r, &b); err != nil {
			return err
		}
		if err := p.addRecent(r, &b); err != nil {
			return err
		}
	}
	p.render(w, r, http.StatusOK, "usage", "Usage", b)
	return nil
}

func (p *Page) addTop(r *http.Request, b *usagePage) error {
	top, err := p.Service.History.Top(r.Context(), usageRangeOf(r.URL.Query()).query(series.AllKeys, p.now()), topKeys)
	if err != nil {
		return err
	}
	for _, k := range top {
		t := topKey{ID: k.Key, Name: p.Service.NameOf(k.Key), Requests: comma(k.Total)}
		if p.Service.Store.Get(k.Key) != nil {
			t.Path = keyPath(k.Key) + "?" + url.Values{"range": {b.Usage.Range}}.Encode()
		}
		b.Top = append(b.Top, t)
	}
	return nil
}

// addRecent says whether DocsGPT has responded lately.
func (p *Page) addRecent(r *http.Request, b *usagePage) error {
	now := p.now()
	recent, err := p.Service.History.Points(r.Context(), series.Query{Since: now.Add(-recentRange), Until: now})
	if err != nil {
		return err
	}
	c := &recent.Total
	switch requests, failed := c[series.Requests], c[series.Failed]; {
	case requests == 0:
		b.Recent = "No requests were passed on to DocsGPT in the last 15 minutes."
	case failed == 0:
		b.Recent = "DocsGPT has responded to all requests of the last 15 minutes: " + comma(requests) + "."
	default:
		b.Recent, b.Bad = "DocsGPT has failed "+comma(failed)+" of "+comma(requests)+" requests in the last 15 minutes ("+percent(failed, requests)+
			"). The log of the gate has the reasons.", true
	}
	return nil
}
