package keyscmd

import (
	"fmt"
	"time"

	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/policy"
)

// describeQuota returns what a key has used of each quota, its limit, and when the count is reset. The texts are empty if the key has no
// quotas. limits are those of the key: the site may have others.
func describeQuota(q *api.Quota, limits *policy.Limits) (questionsToday, questionsThisMonth, tokensToday string) {
	if q == nil {
		return "", "", ""
	}
	describe := func(used int64, limit policy.Limit, note string, reset time.Time) string {
		text := formatCount(uint64(max(0, used)))
		switch {
		case limit.Count() > 0:
			text += " of " + formatCount(uint64(limit.Count()))
		case !limit.IsZero():
			text += ", no limit"
		default:
			text += ", no limit of the key"
		}
		return text + note + ", reset " + formatTime(&reset)
	}
	estimated := ""
	if q.EstimatedTokensToday > 0 {
		estimated = fmt.Sprintf(" (%s estimated)", formatCount(uint64(q.EstimatedTokensToday)))
	}
	return describe(q.QuestionsToday, limits.QuestionsPerDay, "", q.DayEnds),
		describe(q.QuestionsThisMonth, limits.QuestionsPerMonth, "", q.MonthEnds),
		describe(q.TokensToday, limits.TokensPerDay, estimated, q.DayEnds)
}
