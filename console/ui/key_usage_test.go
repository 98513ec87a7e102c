package ui

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/quota"
)

func TestQuotasOnTheKeyPage(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	if page := w.get("/keys/" + id); strings.Contains(page.body, ">Quotas<") {
		t.Error("a key without quotas shows quotas")
	}
	w.desk.Quota = func(string) (quota.Use, bool) {
		return quota.Use{
			QuestionsToday: 250, QuestionsThisMonth: 12_000, TokensToday: 900, EstimatedTokensToday: 400,
			DayEnd: start.Add(2 * time.Hour), MonthEnd: start.Add(8 * 24 * time.Hour),
		}, true
	}
	limited, _ := w.make("name", "Limited", "binding", "source", "sources", "handbook", "limit_questions_per_day", "1000", "limit_questions_per_month", "12000")
	w.want(w.get("/keys/"+limited), http.StatusOK, "Questions today250 (25 %)1,000in 2 hours", "Questions this month12,000 (reached)12,000in 1 week",
		"Model tokens today900nonein 2 hours", "400 of the tokens are estimated.")
}

// The pages that a key was used on are shown on its page, where the key can be restricted to some of them.
func TestAdoptOriginsOnTheKeyPage(t *testing.T) {
	w := newTestServer(t)
	w.desk.Activity = activity.New()
	id, _ := w.makeUsual()
	if page := w.get("/keys/" + id); strings.Contains(page.body, "Pages that use this key") {
		t.Error("origins are shown though none is recorded")
	}
	for range 3 {
		w.desk.Activity.Origins.Record(id, "https://docs.example.com", start)
	}
	w.desk.Activity.Origins.Record(id, "https://other.example", start)
	w.desk.Activity.Origins.Record(id, "null", start)
	page := w.get("/keys/" + id)
	w.want(page, http.StatusOK, "Pages that use this key", "https://docs.example.com3just now", "null1just now", "Restrict the key to these pages")
	if strings.Contains(page.body, `value="null"`) || strings.Count(page.body, `name="origin" value=`) < 2 {
		t.Error("null can be adopted, or the others cannot")
	}
	path := "/keys/" + id + "/origins"
	w.want(w.post(path), http.StatusUnprocessableEntity, "Select at least one page.")
	w.want(w.post(path, "origin", "https://docs.example.com/path"), http.StatusUnprocessableEntity, "An origin is not valid.")
	if a := w.post(path, "origin", "https://docs.example.com"); a.Code != http.StatusSeeOther {
		t.Fatalf("adopted: %d\n%s", a.Code, text(a.body))
	}
	if p := w.desk.Store.Get(id).Policy; p == nil || len(p.Origins) != 1 || p.Origins[0].String() != "https://docs.example.com" {
		t.Errorf("the policy is %+v", p)
	}
	w.want(w.post("/keys/status-page/origins", "origin", "https://docs.example.com"), http.StatusConflict, "read-only")
	w.desk.Activity.Origins.Record("status-page", "https://docs.example.com", start)
	if page := w.get("/keys/status-page"); !strings.Contains(page.body, "Pages that use this key") || strings.Contains(page.body, "Restrict the key") {
		t.Error("the page of a read-only key")
	}
}
