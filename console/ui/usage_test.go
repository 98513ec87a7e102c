package ui

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/series/boltseries"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
)

// withHistory makes the service record usage over time.
func (w *testServer) withHistory() *series.History {
	path := filepath.Join(w.TempDir(), "keys.db.usage")
	h := series.New(series.Options{
		Open: func(context.Context) (series.Storage, error) { return boltseries.Open(path) }, Now: w.desk.Clock.Now,
	})
	w.Cleanup(func() { _ = h.Close() })
	w.desk.History = h
	return h
}

func TestHealthOnTheUsagePage(t *testing.T) {
	w := newTestServer(t)
	w.desk.Health = func(context.Context) []keyservice.Health {
		return []keyservice.Health{
			{Address: "http://one:7091", Known: true},
			{},
			{Address: "http://two:7091", Known: true, Reason: "DocsGPT does not respond: connection refused", Since: start.Add(-time.Hour)},
		}
	}
	w.want(w.get("/usage"), http.StatusOK, "DocsGPT at http://one:7091 responds.", "DocsGPT is not known to respond or to be down: ",
		"DocsGPT does not respond: connection refused (http://two:7091), since 2026-", "(1 hour ago).")
}

func TestUsageOnTheKeyPage(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	w.want(w.get("/keys/"+id), http.StatusOK, "Requests in the last 24 hours") // no usage over time is recorded
	h := w.withHistory()
	w.want(w.get("/keys/"+id), http.StatusOK, "Usage 0 requests; never used", "Day", "Year")
	now := w.desk.Clock.At
	answer := series.Counts{series.Requests: 1, series.Streams: 1, series.WithoutSources: 1, series.EstimatedTokens: 1200, series.BytesSent: 5000}
	answer.AddAnswer(3 * time.Second)
	h.Record(id, now, &answer)
	h.Record(id, now, &series.Counts{series.Requests: 2, series.Failed: 1, series.Aborted: 1})
	h.Record(id, now.Add(-5*time.Hour), &series.Counts{series.RejectedLimit: 3, series.RejectedKey: 1})
	h.Record(id, now.Add(-6*day), &series.Counts{series.Requests: 4000})
	h.Record("other", now, &series.Counts{series.Requests: 100})
	page := w.get("/keys/" + id)
	w.want(page, http.StatusOK, "7 requests", "3 requests: 1 succeeded, 1 aborted, 1 failed", "4 requests: 4 rejected",
		"Over a limit3", "Answers without sources1 100 %", "Model tokens1,200 1,200 are estimated")
	if strings.Contains(page.body, "Cost of the tokens") {
		t.Error("a cost is shown, but the price is unknown")
	}
	w.desk.TokenPrice = tokenprice.Price{Amount: 2, Currency: "EUR"}
	w.want(w.get("/keys/"+id), http.StatusOK, "Cost of the tokens0.0024 EUR 0.0024 EUR is estimated")
	if n := strings.Count(page.body, `class="hit"`); n != 48 {
		t.Errorf("the chart of a day has %d bars, want 48", n)
	}
	if !strings.Contains(page.body, `role="img" aria-label="7 requests: 1 succeeded, 1 aborted, 1 failed, 4 rejected; the most, 4, in the bar from `) {
		t.Error("the chart has no text alternative")
	}
	if strings.Contains(page.body, "style=") || regexp.MustCompile(`(?i)<script[^>]*>[^<]`).MatchString(page.body) {
		t.Error("the page has inline styles or scripts, which its content security policy forbids")
	}
	week := w.get("/keys/" + id + "?range=week")
	w.want(week, http.StatusOK, "4,007 requests")
	if !strings.Contains(week.body, `<a href="?range=week" aria-current="true">Week</a>`) {
		t.Error("the range is not marked")
	}
	for span, bars := range map[string]int{"week": 56, "month": 31, "year": 52, "nonsense": 48} {
		if n := strings.Count(w.get("/keys/"+id+"?range="+span).body, `class="hit"`); n != bars && n != bars+1 {
			t.Errorf("the chart of a %s has %d bars, want %d", span, n, bars)
		}
	}
}

func TestUsagePage(t *testing.T) {
	w := newTestServer(t)
	w.want(w.get("/usage"), http.StatusOK, "Usage over time is not recorded here.")
	h := w.withHistory()
	id, _ := w.makeUsual()
	w.want(w.get("/usage"), http.StatusOK, "No requests were passed on to DocsGPT in the last 15 minutes.", "No key was used.")
	now := w.desk.Clock.At
	h.Record(id, now, &series.Counts{series.Requests: 8})
	h.Record("gone", now.Add(-time.Hour), &series.Counts{series.Requests: 5, series.Failed: 5})
	page := w.get("/usage?range=week")
	w.want(page, http.StatusOK, "DocsGPT has responded to all requests of the last 15 minutes: 8.", "13 requests", "Docs site8", "gone removed5")
	if !strings.Contains(page.body, `href="/keys/`+id+`?range=week"`) {
		t.Error("the key is not linked with the range")
	}
	h.Record(id, now, &series.Counts{series.Requests: 2, series.Failed: 2})
	w.want(w.get("/usage"), http.StatusOK, "DocsGPT has failed 2 of 10 requests in the last 15 minutes (20 %).")
	w.desk.History = series.New(series.Options{Open: func(context.Context) (series.Storage, error) { return nil, errors.New("the disk") }})
	w.want(w.get("/usage"), http.StatusInternalServerError)
}

func TestChartScale(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 2, 1: 2, 2: 2, 3: 4, 5: 10, 11: 20, 21: 40, 41: 100, 1001: 2000, 4001: 10_000} {
		if got := roundUp(n); got != want {
			t.Errorf("%d is rounded up to %d, want %d", n, got, want)
		}
	}
	if top := roundUp(1<<64 - 1); top == 0 {
		t.Error("the largest number overflows")
	}
	for n, want := range map[uint64]string{0: "0", 950: "950", 2000: "2k", 10_000_000: "10M"} {
		if got := shortCount(n); got != want {
			t.Errorf("%d is %q on the axis, want %q", n, got, want)
		}
	}
	// All parts of a bar stay within the chart.
	parts := partsOf(&series.Counts{series.Requests: 100_000, series.Failed: 1, series.Aborted: 1, series.RejectedKey: 1}, 100_000)
	if len(parts) != 4 || parts[3].Y < 0 {
		t.Errorf("%+v", parts)
	}
}
