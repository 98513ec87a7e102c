package ui

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/keys/usage/series"
)

// usageRange is a range of the charts of usage over time.
type usageRange struct {
	Name   string // in URLs
	Label  string
	length time.Duration
	step   time.Duration
	hover  string // layout of the start of a bar
	axis   string // the same, for the axis
}

const week = 7 * day

// usageRanges are the ranges, of 48, 56, 31 and 52 bars. The first one is the default.
var usageRanges = []usageRange{
	{"day", "Day", day, 30 * time.Minute, "2 Jan 15:04", "15:04"},
	{"week", "Week", week, 3 * time.Hour, "Mon 2 Jan 15:04", "Mon 2 Jan"},
	{"month", "Month", 31 * day, day, "Mon 2 Jan", "2 Jan"},
	{"year", "Year", 52 * week, week, "week from 2 Jan 2006", "Jan 2006"},
}

// usageRangeOf returns the range in the query of a page.
func usageRangeOf(query url.Values) *usageRange {
	for i := range usageRanges {
		if usageRanges[i].Name == query.Get("range") {
			return &usageRanges[i]
		}
	}
	return &usageRanges[0]
}

// query returns the query of a key for the range that ends now.
func (r *usageRange) query(key string, now time.Time) series.Query {
	return series.Query{Key: key, Since: now.Add(r.step - r.length), Until: now, Step: r.step}
}

// Size of a chart, in the units of its SVG. The width of a bar is 10, with a gap of 2.
const (
	barPitch    = 10
	barWidth    = 8
	chartHeight = 100
)

// usageOutcome is a part of the bars: a name, which is also the class of its rectangles, and its number.
type usageOutcome struct {
	Name, Label string
	count       func(c *series.Counts) uint64
}

// usageOutcomes are the parts of a bar, from the bottom to the top.
var usageOutcomes = []usageOutcome{
	{"succeeded", "succeeded", (*series.Counts).Succeeded},
	{"aborted", "aborted", func(c *series.Counts) uint64 { return min(c[series.Aborted], c[series.Requests]) }},
	{"failed", "failed", func(c *series.Counts) uint64 { return min(c[series.Failed], c[series.Requests]) }},
	{"rejected", "rejected", (*series.Counts).Rejected},
}

// usageChart is a chart of requests over time, stacked by outcome.
type usageChart struct {
	Range    string
	Ranges   []usageRange
	Width    int // of the SVG
	Bars     []usageBar
	Values   []string // of the vertical axis, from the top to the bottom
	Starts   []string // of the horizontal axis
	Outcomes []usageOutcome
	Words    string // text alternative
	Rows     []usageRow
	Total    uint64
}

// usageBar is a bar. X is its left side.
type usageBar struct {
	X     int
	Words string
	Parts []usagePart
}

// usagePart is the part of a bar with one outcome.
type usagePart struct {
	Name      string
	Y, Height float64
}

// usageRow is a row of the table with the numbers of a chart: those of each outcome.
type usageRow struct {
	Start  string
	Counts []uint64
	Total  uint64
}

// chartOf returns the chart of a result.
func (r *usageRange) chartOf(result *series.Result) *usageChart {
	c := &usageChart{Range: r.Name, Ranges: usageRanges, Outcomes: usageOutcomes, Total: result.Total.Total()}
	counts := map[int64]*series.Counts{}
	peak, busiest := uint64(0), ""
	for i := range result.Points {
		p := &result.Points[i]
		counts[p.Start.Unix()] = &p.Counts
		if n := p.Counts.Total(); n > peak {
			peak, busiest = n, p.Start.Format(r.hover)
		}
	}
	top := roundUp(peak)
	for at := result.Since; at.Before(result.Until); at = at.Add(result.Step) {
		bar := usageBar{X: c.Width, Words: at.Format(r.hover) + " UTC: no requests"}
		if n := counts[at.Unix()]; n != nil {
			bar.Parts = partsOf(n, top)
			bar.Words = at.Format(r.hover) + " UTC: " + describeOutcomes(n)
			row := usageRow{Start: at.Format(r.hover), Total: n.Total()}
			for _, o := range usageOutcomes {
				row.Counts = append(row.Counts, o.count(n))
			}
			c.Rows = append(c.Rows, row)
		}
		c.Bars = append(c.Bars, bar)
		c.Width += barPitch
	}
	for i := range 4 {
		c.Starts = append(c.Starts, result.Since.Add(time.Duration(i*len(c.Bars)/4)*result.Step).Format(r.axis))
	}
	for _, n := range []uint64{top, top / 2, 0} {
		c.Values = append(c.Values, shortCount(n))
	}
	c.Words = "No requests"
	if c.Total > 0 {
		c.Words = describeOutcomes(&result.Total) + "; the most, " + humanize.Comma(int64(peak)) + ", in the bar from " + busiest + " UTC"
	}
	return c
}

// partsOf returns the parts of a bar. top is the number at the top of the chart.
func partsOf(c *series.Counts, top uint64) (parts []usagePart) {
	y := float64(chartHeight)
	for _, o := range usageOutcomes {
		if n := o.count(c); n > 0 {
			height := max(1.5, float64(n)/float64(top)*chartHeight) // a single request is visible next to a thousand
			y = max(0, y-height)
			parts = append(parts, usagePart{o.Name, math.Round(y*100) / 100, math.Round(height*100) / 100})
		}
	}
	return parts
}

// describeOutcomes returns the numbers of requests, such as "12 requests: 10 succeeded, 2 rejected".
func describeOutcomes(c *series.Counts) string {
	var parts []string
	for _, o := range usageOutcomes {
		if n := o.count(c); n > 0 {
			parts = append(parts, humanize.Comma(int64(n))+" "+o.Label)
		}
	}
	total := humanize.Comma(int64(c.Total())) + " requests"
	if c.Total() == 1 {
		total = "1 request"
	}
	if parts == nil {
		return total
	}
	return total + ": " + strings.Join(parts, ", ")
}

// roundUp returns the smallest of 2, 4, 10, 20, 40, 100, ... that is at least n, so that its half is a round number, too.
func roundUp(n uint64) uint64 {
	for step := uint64(1); ; step *= 10 {
		for _, factor := range []uint64{2, 4, 10} {
			if top := step * factor; top >= n || top > math.MaxUint64/100 {
				return top
			}
		}
	}
}

// shortCount formats a number for an axis: 950, 12k, 3.4M.
func shortCount(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return strings.ReplaceAll(humanize.SIWithDigits(float64(n), 1, ""), " ", "")
}
