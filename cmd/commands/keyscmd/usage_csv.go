package keyscmd

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/docsgate/docsgate/console/api"
)

// usageColumns are the columns of usage as CSV after the start. A value is empty if it is not known.
var usageColumns = []struct {
	name  string
	value func(c *api.UsageCounts) string
}{
	{"requests", func(c *api.UsageCounts) string { return number(c.Requests) }},
	{"succeeded", func(c *api.UsageCounts) string { return number(c.Succeeded) }},
	{"failed", func(c *api.UsageCounts) string { return number(c.Failed) }},
	{"aborted", func(c *api.UsageCounts) string { return number(c.Aborted) }},
	{"rejected_key", func(c *api.UsageCounts) string { return number(c.Rejected.Key) }},
	{"rejected_policy", func(c *api.UsageCounts) string { return number(c.Rejected.Policy) }},
	{"rejected_limit", func(c *api.UsageCounts) string { return number(c.Rejected.Limit) }},
	{"rejected_busy", func(c *api.UsageCounts) string { return number(c.Rejected.Busy) }},
	{"rejected_request", func(c *api.UsageCounts) string { return number(c.Rejected.Request) }},
	{"streams", func(c *api.UsageCounts) string { return number(c.Streams) }},
	{"bytes_received", func(c *api.UsageCounts) string { return number(c.BytesReceived) }},
	{"bytes_sent", func(c *api.UsageCounts) string { return number(c.BytesSent) }},
	{"answers", func(c *api.UsageCounts) string { return number(c.Answers) }},
	{"answers_without_sources", func(c *api.UsageCounts) string { return number(c.AnswersWithoutSources) }},
	{"dislikes", func(c *api.UsageCounts) string { return number(c.Dislikes) }},
	{"tokens", func(c *api.UsageCounts) string { return number(c.Tokens) }},
	{"estimated_tokens", func(c *api.UsageCounts) string { return number(c.EstimatedTokens) }},
	{"cost", func(c *api.UsageCounts) string {
		return amount(c.Cost, func(c *api.UsageCost) float64 { return c.Amount })
	}},
	{"estimated_cost", func(c *api.UsageCounts) string {
		return amount(c.Cost, func(c *api.UsageCost) float64 { return c.EstimatedAmount })
	}},
	{"currency", func(c *api.UsageCounts) string { return currency(c.Cost) }},
	{"first_event_seconds_mean", func(c *api.UsageCounts) string { return seconds(c.FirstEvent, mean) }},
	{"first_event_seconds_p50", func(c *api.UsageCounts) string { return seconds(c.FirstEvent, p50) }},
	{"first_event_seconds_p95", func(c *api.UsageCounts) string { return seconds(c.FirstEvent, p95) }},
	{"answer_seconds_mean", func(c *api.UsageCounts) string { return seconds(c.AnswerTime, mean) }},
	{"answer_seconds_p50", func(c *api.UsageCounts) string { return seconds(c.AnswerTime, p50) }},
	{"answer_seconds_p95", func(c *api.UsageCounts) string { return seconds(c.AnswerTime, p95) }},
}

func mean(t *api.UsageTimes) float64 { return t.Mean }
func p50(t *api.UsageTimes) float64  { return t.P50 }
func p95(t *api.UsageTimes) float64  { return t.P95 }

func seconds(t *api.UsageTimes, of func(*api.UsageTimes) float64) string {
	if t == nil {
		return ""
	}
	return strconv.FormatFloat(of(t), 'f', 3, 64)
}

func amount(c *api.UsageCost, of func(*api.UsageCost) float64) string {
	if c == nil {
		return ""
	}
	return strconv.FormatFloat(of(c), 'f', 6, 64)
}

func currency(c *api.UsageCost) string {
	if c == nil {
		return ""
	}
	return c.Currency
}

// writeUsageCSV writes the points of usage with a heading. All values are numbers, times and codes of currencies.
func writeUsageCSV(to io.Writer, u *api.Usage) error {
	w := csv.NewWriter(to)
	line := make([]string, 1+len(usageColumns))
	line[0] = "start"
	for i, column := range usageColumns {
		line[i+1] = column.name
	}
	_ = w.Write(line) // Error returns the error
	for i := range u.Points {
		line[0] = u.Points[i].Start.UTC().Format(time.RFC3339)
		for n, column := range usageColumns {
			line[n+1] = column.value(&u.Points[i].UsageCounts)
		}
		_ = w.Write(line)
	}
	w.Flush()
	return w.Error()
}
