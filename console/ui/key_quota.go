package ui

import (
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/policy"
)

// quotaLine is what a key has used of one quota.
type quotaLine struct {
	Label, Used, Limit string // Limit is empty if the key has none; the site may have one
	Percent            int    // of the limit, at most 100
	Full               bool
	Reset              time.Time
}

// Quotas returns the use of all quotas, none if the key has no quotas.
func (r row) Quotas() []quotaLine {
	q := r.Quota
	if q == nil {
		return nil
	}
	limits := new(policy.Limits)
	if r.Policy != nil {
		limits = &r.Policy.Limits
	}
	line := func(label string, used int64, limit policy.Limit, reset time.Time) quotaLine {
		l := quotaLine{Label: label, Used: humanize.Comma(used), Reset: reset}
		if most := int64(limit.Count()); most > 0 {
			l.Limit, l.Full = humanize.Comma(most), used >= most
			l.Percent = int(min(100, float64(used)/float64(most)*100))
		}
		return l
	}
	return []quotaLine{
		line("Questions today", q.QuestionsToday, limits.QuestionsPerDay, q.DayEnd),
		line("Questions this month", q.QuestionsThisMonth, limits.QuestionsPerMonth, q.MonthEnd),
		line("Model tokens today", q.TokensToday, limits.TokensPerDay, q.DayEnd),
	}
}

// EstimatedTokens returns how many of the tokens of today are estimated, "" for none.
func (r row) EstimatedTokens() string {
	if r.Quota == nil || r.Quota.EstimatedTokensToday == 0 {
		return ""
	}
	return humanize.Comma(r.Quota.EstimatedTokensToday)
}
