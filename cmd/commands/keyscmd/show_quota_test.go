package keyscmd

import (
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/policy"
)

func TestDescribeQuota(t *testing.T) {
	var limits policy.Limits
	for name, value := range map[string]string{"questions_per_day": "1000", "questions_per_month": "off"} {
		if err := limits.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	q := api.Quota{
		QuestionsToday: 3, QuestionsThisMonth: 1234, TokensToday: 70,
		DayEnds: time.Date(2026, 11, 4, 0, 0, 0, 0, time.UTC), MonthEnds: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
	}
	check := func(wantToday, wantMonth, wantTokens string) {
		t.Helper()
		today, month, tokens := describeQuota(&q, &limits)
		if today != wantToday || month != wantMonth || tokens != wantTokens {
			t.Errorf("%s\n%s\n%s", today, month, tokens)
		}
	}
	check("3 of 1,000, reset 2026-11-04T00:00:00Z", "1,234, no limit, reset 2026-12-01T00:00:00Z",
		"70, no limit of the key, reset 2026-11-04T00:00:00Z")
	q.EstimatedTokensToday = 20
	check("3 of 1,000, reset 2026-11-04T00:00:00Z", "1,234, no limit, reset 2026-12-01T00:00:00Z",
		"70, no limit of the key (20 estimated), reset 2026-11-04T00:00:00Z")
	if today, month, tokens := describeQuota(nil, &limits); today+month+tokens != "" {
		t.Errorf("without quotas: %s%s%s", today, month, tokens)
	}
}
