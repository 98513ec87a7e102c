package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/quota"
)

func TestQuotaOfKey(t *testing.T) {
	w := newTestServer(t)
	plain := w.makeKey()
	limited := w.call("POST", "/v1/keys", `{"name":"limited","source":"s","limits":{"questions_per_day":5}}`).want(http.StatusCreated).key()
	used := map[string]quota.Use{}
	day := time.Date(2026, 3, 30, 0, 0, 0, 0, time.FixedZone("", 2*60*60))
	w.desk.Quota = func(id string) (quota.Use, bool) {
		use, ok := used[id]
		use.DayEnd, use.MonthEnd = day, day.AddDate(0, 0, 2)
		return use, ok
	}
	const reset = `"day_ends":"2026-03-29T22:00:00Z","month_ends":"2026-03-31T22:00:00Z"}`
	show := func(id string) string { return w.call("GET", "/v1/keys/"+id, "").want(http.StatusOK).Body }
	if got := show(plain.ID); strings.Contains(got, `"quota"`) {
		t.Errorf("a key without quotas: %s", got)
	}
	if got := show(limited.ID); !strings.Contains(got, `"quota":{"questions_today":0,"questions_this_month":0,"tokens_today":0,"estimated_tokens_today":0,`+reset) {
		t.Errorf("a key that was not used: %s", got)
	}
	used[plain.ID] = quota.Use{QuestionsToday: 1, QuestionsThisMonth: 2, TokensToday: 3, EstimatedTokensToday: 2} // of a quota of the site
	if got := show(plain.ID); !strings.Contains(got, `"quota":{"questions_today":1,"questions_this_month":2,"tokens_today":3,"estimated_tokens_today":2,`+reset) {
		t.Errorf("a key with a quota of the site: %s", got)
	}
	if got := w.call("PATCH", "/v1/keys/"+plain.ID, `{"quota":{}}`); got.Status != http.StatusUnprocessableEntity && got.Status != http.StatusBadRequest {
		t.Errorf("the quota can be changed: %d %s", got.Status, got.Body)
	}
}
