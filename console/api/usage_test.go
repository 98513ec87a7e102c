package api

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/series/boltseries"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
)

// withHistory makes the service record usage over time.
func (w *testServer) withHistory() *series.History {
	path := filepath.Join(w.t.TempDir(), "keys.db.usage")
	h := series.New(series.Options{Open: func(context.Context) (series.Storage, error) { return boltseries.Open(path) }})
	w.t.Cleanup(func() { _ = h.Close() })
	w.desk.History = h
	return h
}

func TestUsage(t *testing.T) {
	w := newTestServer(t)
	h, k, now := w.withHistory(), w.makeKey(), time.Now()
	answered := series.Counts{
		series.Requests: 1, series.Streams: 1, series.BytesReceived: 100, series.BytesSent: 2000, series.WithoutSources: 1, series.Tokens: 30,
	}
	answered.AddFirstEvent(300 * time.Millisecond)
	answered.AddAnswer(3 * time.Second)
	h.Record(k.ID, now, &answered)
	h.Record(k.ID, now, &series.Counts{series.Requests: 1, series.Failed: 1, series.EstimatedTokens: 7})
	h.Record(k.ID, now.Add(-2*time.Hour), &series.Counts{series.Requests: 1, series.Aborted: 1})
	h.Record(k.ID, now.AddDate(0, 0, -3), &series.Counts{series.RejectedLimit: 2, series.RejectedKey: 1})
	h.Record("from-file", now, &series.Counts{series.Requests: 5, series.Dislikes: 1})
	h.Record("gone", now, &series.Counts{series.Requests: 1})

	path := "/v1/keys/" + k.ID + "/usage"
	day := decoded[Usage](w.call("GET", path, "").want(http.StatusOK))
	total := day.Total
	if total.Requests != 3 || total.Succeeded != 1 || total.Failed != 1 || total.Aborted != 1 || total.Streams != 1 || total.BytesReceived != 100 ||
		total.BytesSent != 2000 || total.Answers != 1 || total.AnswersWithoutSources != 1 || total.Tokens != 30 || total.EstimatedTokens != 7 {
		t.Errorf("total of a day: %+v", total)
	}
	if total.Cost != nil {
		t.Errorf("cost without a price: %+v", total.Cost)
	}
	if total.AnswerTime == nil || total.AnswerTime.Mean != 3 || total.AnswerTime.P50 < 2 || total.AnswerTime.P95 > 4 || total.FirstEvent == nil {
		t.Errorf("times: %+v, %+v", total.AnswerTime, total.FirstEvent)
	}
	if day.Step != 60 || len(day.Points) < 2 || day.Until.Before(now.Add(-time.Minute)) || day.Since.After(now.Add(-24*time.Hour)) {
		t.Errorf("%s to %s in steps of %d, %d points", day.Since, day.Until, day.Step, len(day.Points))
	}
	week := decoded[Usage](w.call("GET", path+"?since=7d&step=1d", "").want(http.StatusOK))
	if week.Total.Requests != 6 || week.Total.Rejected != (UsageRejections{Key: 1, Limit: 2}) || week.Step != 24*60*60 {
		t.Errorf("a week: %+v", week)
	}
	since := now.AddDate(0, 0, -4).UTC().Format(time.RFC3339)
	if u := decoded[Usage](w.call("GET", path+"?step=2h&since="+since, "").want(http.StatusOK)); u.Total.Requests != 6 || u.Step != 7200 {
		t.Errorf("since a time: %+v", u)
	}
	all := decoded[Usage](w.call("GET", "/v1/usage?since=7d&top=2", "").want(http.StatusOK))
	if all.Total.Requests != 12 || all.Total.Dislikes != 1 || len(all.Keys) != 2 ||
		all.Keys[0] != (UsageOfKey{k.ID, k.Name, 6}) || all.Keys[1] != (UsageOfKey{"from-file", "From a file", 5}) {
		t.Errorf("all keys: %+v", all)
	}
	if u := decoded[Usage](w.call("GET", "/v1/usage", "").want(http.StatusOK)); len(u.Keys) != 3 || u.Keys[2].Key != "gone" && u.Keys[2].Name != "" {
		t.Errorf("keys of a day: %+v", u.Keys)
	}
	unused := w.makeKey()
	if u := decoded[Usage](w.call("GET", "/v1/keys/"+unused.ID+"/usage", "").want(http.StatusOK)); len(u.Points) != 0 || u.Total.Requests != 0 {
		t.Errorf("a key that was not used: %+v", u)
	}
}

func TestUsageCost(t *testing.T) {
	w := newTestServer(t)
	w.desk.TokenPrice = tokenprice.Price{Amount: 0.6, Currency: "EUR"}
	h, k := w.withHistory(), w.makeKey()
	h.Record(k.ID, time.Now(), &series.Counts{series.Requests: 1, series.Tokens: 2_500_000, series.EstimatedTokens: 1000})
	for _, path := range []string{"/v1/keys/" + k.ID + "/usage", "/v1/usage"} {
		u := decoded[Usage](w.call("GET", path, "").want(http.StatusOK))
		want := UsageCost{"EUR", 1.5, 0.0006}
		if u.Total.Cost == nil || *u.Total.Cost != want || u.Points[0].Cost == nil || *u.Points[0].Cost != want {
			t.Errorf("%s: %+v, %+v, want %+v", path, u.Total.Cost, u.Points[0].Cost, want)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	w := newTestServer(t)
	k := w.makeKey()
	w.call("GET", "/v1/usage", "").problem(http.StatusNotImplemented, "not_running")
	w.call("GET", "/v1/keys/"+k.ID+"/usage", "").problem(http.StatusNotImplemented, "not_running")
	w.withHistory()
	w.call("GET", "/v1/keys/key_none/usage", "").problem(http.StatusNotFound, "key_not_found")
	for _, query := range []string{
		"since=tomorrow", "since=-1d", "since=400d", "since=2999-01-01", "step=x", "step=0", "step=90s", "since=7d&step=5m", "since=90d&step=1h",
		"until=1d", "top=0", "top=101", "step=1m&step=1m",
	} {
		w.call("GET", "/v1/usage?"+query, "").problem(http.StatusBadRequest, "invalid_parameter")
	}
	w.call("GET", "/v1/keys/"+k.ID+"/usage?top=3", "").problem(http.StatusBadRequest, "invalid_parameter")
	w.desk.History = series.New(series.Options{Open: func(context.Context) (series.Storage, error) { return nil, errors.New("disk") }})
	w.call("GET", "/v1/usage", "").want(http.StatusInternalServerError)
}
