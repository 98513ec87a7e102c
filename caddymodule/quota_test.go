package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule"
)

// checkQuotaExceeded checks a response to a question over a quota that is reset at the end of the day.
func checkQuotaExceeded(t *testing.T, path string, r response, policy string) {
	t.Helper()
	if r.status != http.StatusTooManyRequests {
		t.Errorf("%s: %d %s", path, r.status, r.body)
		return
	}
	checkErrorFormat(t, path, r, "quota_exceeded")
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 24*60*60 || !strings.Contains(r.body, "Please try again after 20") || !strings.Contains(r.body, " 00:00 UTC.") {
		t.Errorf("%s: Retry-After %q, %s", path, r.header.Get("Retry-After"), r.body)
	}
	checkLimitHeaders(t, path, r, policy)
}

func TestQuestionsPerDay(t *testing.T) {
	eachForwardingWithPolicy(t, `limits: {questions_per_day: 3}`, "", func(t *testing.T, g *gate) {
		for path, r := range policyRequests(g) {
			if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("RateLimit"), `"questions_per_day";r=`) {
				t.Errorf("%s: %d, RateLimit %q", path, r.status, r.header.Get("RateLimit"))
			}
			// These are not questions, or are rejected for other reasons.
			g.ask("/api/search", tokenAgent, "q", "")
			g.ask("/stream", "unknown", "q", "")
			g.send(http.MethodPost, "/stream", `{"api_key":"`+tokenAgent+`"}`)
			g.send(http.MethodOptions, "/stream", "")
		}
		before := len(g.backend.Calls())
		for path, r := range policyRequests(g) {
			checkQuotaExceeded(t, path, r, `"questions_per_day";q=3;w=86400`)
		}
		if n := len(g.backend.Calls()); n != before {
			t.Errorf("%d rejected questions reached DocsGPT", n-before)
		}
		if r := g.ask("/api/search", tokenAgent, "q", ""); r.status != http.StatusOK {
			t.Errorf("a search is rejected: %d %s", r.status, r.body)
		}
		if g.metric(`caddy_docsgate_auth_decisions_total{endpoint="stream",reason="quota_exceeded"}`) == "" {
			t.Error("the metric does not count the rejected questions")
		}
		g.writeKeys(policyKeys(`limits: {questions_per_day: 4}`))
		waitFor(t, "a larger quota", func() bool { return g.ask("/api/answer", tokenAgent, "q", "").status == http.StatusOK })
		g.writeKeys(policyKeys(`limits: {questions_per_day: off}`))
		waitFor(t, "no quota", func() bool { return g.ask("/api/answer", tokenAgent, "q", "").status == http.StatusOK })
	})
}

// A question that does not reach DocsGPT does not count, and one that DocsGPT rejects does.
func TestQuestionsThatFail(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(policyKeys(`limits: {questions_per_day: 2}`))
			const nothing = "127.0.0.1:1"
			g.start(fmt.Sprintf(site, nothing, ""))
			for range 3 {
				if r := g.ask("/stream", tokenAgent, "q", ""); strings.Contains(r.body, "quota_exceeded") || r.header.Get("RateLimit") == "" {
					t.Fatalf("%d %s", r.status, r.body)
				}
			}
			if err := g.load(g.config(fmt.Sprintf(site, g.address, ""))); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if r := g.ask("/api/answer", tokenAgent, "[[fail=500]]", ""); strings.Contains(r.body, "quota_exceeded") {
					t.Fatalf("%d %s", r.status, r.body)
				}
			}
			checkQuotaExceeded(t, "/api/answer", g.ask("/api/answer", tokenAgent, "q", ""), `"questions_per_day";q=2;w=86400`)
		})
	}
}

// The tightest limit is in the headers.
func TestQuotaAndRate(t *testing.T) {
	eachForwardingWithPolicy(t, `limits: {requests: 5/1m, questions_per_day: 4, questions_per_month: 5}`, "", func(t *testing.T, g *gate) {
		if r := g.ask("/api/answer", tokenAgent, "q", ""); !strings.HasPrefix(r.header.Get("RateLimit"), `"questions_per_day";r=3;`) {
			t.Errorf("RateLimit %q", r.header.Get("RateLimit"))
		}
		g.ask("/api/search", tokenAgent, "q", "")
		g.ask("/api/search", tokenAgent, "q", "")
		if r := g.ask("/api/answer", tokenAgent, "q", ""); !strings.HasPrefix(r.header.Get("RateLimit"), `"key";r=1;`) {
			t.Errorf("RateLimit %q", r.header.Get("RateLimit"))
		}
	})
}

func TestQuotaDryRun(t *testing.T) {
	const options = "limits {\nquestions_per_day 1\ntokens_per_day 1\ndry_run questions_per_day tokens_per_day\n}"
	eachForwardingWithPolicy(t, "", options, func(t *testing.T, g *gate) {
		before := g.metricValue(`caddy_docsgate_would_reject_total{reason="quota_exceeded"}`)
		for range 3 {
			if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK || strings.Contains(r.header.Get("RateLimit"), "per_day") {
				t.Errorf("%d %s, RateLimit %q", r.status, r.body, r.header.Get("RateLimit"))
			}
		}
		if got := g.metricValue(`caddy_docsgate_would_reject_total{reason="quota_exceeded"}`) - before; got != 4 {
			t.Errorf("counted %g, want 4", got)
		}
	})
}

// The usage of streams is read without being shown to clients that have not asked for it.
func TestTokensOfUsage(t *testing.T) {
	eachForwardingWithPolicy(t, `limits: {tokens_per_day: 1000000}`, "", func(t *testing.T, g *gate) {
		const metric = `caddy_docsgate_tokens_settled_total{source="usage"}`
		bearer := []string{"Authorization", "Bearer " + tokenAgent}
		for body, shown := range map[string]bool{
			`{"messages":[{"role":"user","content":"q"}]}`:                                                        true,
			`{"messages":[{"role":"user","content":"q"}],"stream":true}`:                                          false,
			`{"messages":[{"role":"user","content":"q"}],"stream":true,"stream_options":{"include_usage":false}}`: false,
			`{"messages":[{"role":"user","content":"q"}],"stream":true,"stream_options":{"include_usage":true}}`:  true,
		} {
			before := g.metricValue(metric)
			r := g.send(http.MethodPost, "/v1/chat/completions", body, bearer...)
			if r.status != http.StatusOK || strings.Contains(r.body, `"usage"`) != shown {
				t.Errorf("%s: %d %s", body, r.status, r.body)
			}
			if g.metricValue(metric) <= before {
				t.Errorf("%s: the usage was not counted", body)
			}
		}
		before := g.metricValue(`caddy_docsgate_tokens_settled_total{source="estimate"}`)
		g.ask("/stream", tokenAgent, "q", "")
		g.ask("/api/answer", tokenAgent, "q", "")
		if got := g.metricValue(`caddy_docsgate_tokens_settled_total{source="estimate"}`) - before; got < 2000 || got > 3000 {
			t.Errorf("estimated %g tokens of two answers", got)
		}
	})
}

// 100 questions at the same time exceed a budget by at most one answer.
func TestTokensConcurrently(t *testing.T) {
	const options = "max_in_flight 200\nmax_in_flight_per_key 200"
	eachForwardingWithPolicy(t, `limits: {tokens_per_day: 10000}`, options, func(t *testing.T, g *gate) {
		g.ask("/api/answer", tokenAgent, "q", "") // an estimate of a bit more than 1000
		var mu sync.Mutex
		counts := map[int]int{}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				r := g.ask("/api/answer", tokenAgent, "[[wait=1]]", "")
				mu.Lock()
				defer mu.Unlock()
				counts[r.status]++
				if r.status == http.StatusTooManyRequests && (r.header.Get("Retry-After") != "5" || !strings.Contains(r.body, "at the moment")) {
					t.Errorf("while answers are in flight: Retry-After %q, %s", r.header.Get("Retry-After"), r.body)
				}
			})
		}
		all.Wait()
		if n := counts[http.StatusOK]; n < 5 || n > 9 {
			t.Errorf("%v, want at most 9 answers", counts)
		}
	})
}

// Quotas survive a restart, with and without a key store, and a change between them.
func TestQuotasAreSaved(t *testing.T) {
	g := newGate(t)
	g.writeKeys(policyKeys(`limits: {questions_per_month: 6}`))
	site := fmt.Sprintf(forwardModes["built-in"], g.address, "")
	start := func(n int) {
		t.Helper()
		if err := g.load(g.config(site)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("RateLimit"), fmt.Sprintf(`"questions_per_month";r=%d;`, n-1)) {
				t.Fatalf("%d %s, RateLimit %q, want %d", r.status, r.body, r.header.Get("RateLimit"), n-1)
			}
			n--
		}
	}
	stop := func() {
		t.Helper()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		caddymodule.ResetInFlight() // as in a new process
	}
	file := filepath.Join(g.dir, "data", "caddy", "docsgate", "quotas.db")
	start(6)
	stop()
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	start(4)
	// The key store takes over.
	g.global = "feed store " + filepath.Join(g.dir, "store.db")
	start(2)
	stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := g.load(g.config(site)); err != nil {
		t.Fatal(err)
	}
	if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusTooManyRequests || !strings.Contains(r.body, "this month") {
		t.Errorf("%d %s", r.status, r.body)
	}
	stop()
}

// A damaged file neither stops the gate nor is lost, and is reported.
func TestDamagedQuotaFile(t *testing.T) {
	g := newGate(t)
	g.writeKeys(policyKeys(`limits: {questions_per_day: 1}`))
	file := filepath.Join(g.dir, "data", "caddy", "docsgate", "quotas.db")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("not a store"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
	if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	checkQuotaExceeded(t, "/api/answer", g.ask("/api/answer", tokenAgent, "q", ""), `"questions_per_day";q=1;w=86400`)
	waitFor(t, "the failure is in the log", func() bool { return strings.Contains(g.logs(), "saving the quotas of keys failed") })
	if g.metricValue("caddy_docsgate_quota_save_failures_total") < 1 {
		t.Error("the metric does not count the failure")
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "not a store" {
		t.Errorf("the file was changed: %v", err)
	}
}

func TestQuotaTimeZone(t *testing.T) {
	g := newGate(t)
	g.writeKeys(policyKeys(`limits: {questions_per_day: 1}`))
	g.global = "quota_time_zone Asia/Kathmandu"
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
	g.ask("/api/answer", tokenAgent, "q", "")
	r := g.ask("/api/answer", tokenAgent, "q", "")
	zone, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	year, month, day := time.Now().In(zone).Date()
	reset := time.Date(year, month, day+1, 0, 0, 0, 0, zone)
	if !strings.Contains(r.body, reset.Format("2006-01-02 15:04 MST")) {
		t.Errorf("%d %s, want a reset at %s", r.status, r.body, reset)
	}
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if left := int(time.Until(reset) / time.Second); err != nil || seconds < left || seconds > left+60 {
		t.Errorf("Retry-After %q, want %d", r.header.Get("Retry-After"), left)
	}
}

// metricValue returns the value of a metric, or 0 if it is not there.
func (g *gate) metricValue(name string) float64 {
	g.t.Helper()
	text := g.metric(name)
	if text == "" {
		return 0
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		g.t.Fatal(err)
	}
	return value
}

// A client that disconnects early does not save tokens, since DocsGPT continues the answer.
func TestTokensOfAbandonedAnswer(t *testing.T) {
	eachForwardingWithPolicy(t, `limits: {tokens_per_day: 1000000}`, "", func(t *testing.T, g *gate) {
		const metric = `caddy_docsgate_tokens_settled_total{source="estimate"}`
		before := g.metricValue(metric)
		pending := g.startQuestion(g.urls[0], "/stream", tokenAgent, "[[gap=30]]")
		waitFor(t, "the answer is in flight", func() bool { return g.upstream.Load() == 1 })
		pending.cancel()
		waitFor(t, "the answer is settled", func() bool { return g.metricValue(metric) > before })
		if got := g.metricValue(metric) - before; got < 2000 {
			t.Errorf("settled with %g tokens", got)
		}
	})
}
