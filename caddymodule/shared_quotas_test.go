package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/quota/sharedquota"
)

// asksAt returns a function that decides on a question with the key of most tests at another gate.
func asksAt(t *testing.T, o *otherGate) func(quota.Limits) (quota.Reservation, quota.Decision) {
	t.Helper()
	l, calendar := sharedquota.New(o.conn, "", quota.New()), quota.NewCalendar(nil)
	t.Cleanup(l.Close)
	return func(limits quota.Limits) (quota.Reservation, quota.Decision) {
		return l.Reserve(calendar.At(time.Now()), "agent", limits, 0)
	}
}

func TestSharedQuotas(t *testing.T) {
	const options = "limits {\nquestions_per_day 6\n}"
	limits := quota.Limits{QuestionsPerDay: 6}
	eachForwardingWithSharedLimits(t, options, func(t *testing.T, g *gate, o *otherGate, server *redistest.Server) {
		ask := asksAt(t, o)
		for range 3 {
			if _, d := ask(limits); d.Rejected != quota.None {
				t.Fatalf("%+v", d)
			}
		}
		expectLeft := func(want int) {
			t.Helper()
			r := g.ask("/api/answer", tokenAgent, "q", "")
			if got := r.header.Get("RateLimit"); r.status != http.StatusOK || !strings.HasPrefix(got, fmt.Sprintf(`"questions_per_day";r=%d;`, want)) {
				t.Fatalf("%d %s, RateLimit %q, want %d", r.status, r.body, got, want)
			}
		}
		expectLeft(2)
		g.ask("/api/search", tokenAgent, "q", "") // not a question
		g.ask("/stream", tokenAgent, "q", "")
		server.Client().FlushAll(t.Context())
		expectLeft(0)
		checkQuotaExceeded(t, "/api/answer", g.ask("/api/answer", tokenAgent, "q", ""), `"questions_per_day";q=6;w=86400`)
		if _, d := ask(limits); d.Rejected != quota.QuestionsPerDay {
			t.Errorf("the other gate: %+v", d)
		}

		// A reload with another connection changes nothing.
		g.global = "shared_limits {env.DOCSGATE_REDIS_URL} {\ntimeout 4s\n}"
		if err := g.load(g.config(fmt.Sprintf(forwardModes["built-in"], g.address, "limits {\nquestions_per_day 8\n}"))); err != nil {
			t.Fatal(err)
		}
		waitForGates(t, g, 2)
		expectLeft(1)

		// During an outage of Redis each of the two gates admits half of what is left, and at least one question.
		server.Stop()
		waitFor(t, "a decision without Redis", func() bool {
			g.ask("/api/answer", tokenAgent, "q", "")
			return g.metricValue(`caddy_docsgate_shared_limits_fallbacks_total{limit="quotas"}`) > 0
		})
		checkQuotaExceeded(t, "/api/answer", g.ask("/api/answer", tokenAgent, "q", ""), `"questions_per_day";q=8;w=86400`)
		server.Restart()
		waitForGates(t, g, 2)
		checkQuotaExceeded(t, "/api/answer", g.ask("/api/answer", tokenAgent, "q", ""), `"questions_per_day";q=8;w=86400`)
	})
}

// The tokens that are reserved at one gate are reserved at the other, until the answer ends.
func TestSharedTokens(t *testing.T) {
	const options = "limits {\ntokens_per_day 2500\n}"
	limits := quota.Limits{TokensPerDay: 2500}
	eachForwardingWithSharedLimits(t, options, func(t *testing.T, g *gate, o *otherGate, _ *redistest.Server) {
		ask := asksAt(t, o)
		_, disconnect := g.openStream(false, tokenAgent, "[[gap=600]]")
		r, d := ask(limits)
		if d.Rejected != quota.None {
			t.Fatalf("%+v", d)
		}
		if answer := g.ask("/api/answer", tokenAgent, "q", ""); answer.status != http.StatusTooManyRequests || answer.header.Get("Retry-After") != "5" {
			t.Errorf("with 4000 reserved tokens: %d %s", answer.status, answer.body)
		}
		r.Release()
		waitFor(t, "the other answer has ended", func() bool {
			answer := g.ask("/api/answer", tokenAgent, "q", "")
			return answer.status == http.StatusOK
		})
		disconnect()
		waitFor(t, "the tokens of the stream are used", func() bool { _, d := ask(limits); return d.Rejected == quota.TokensPerDay && !d.InFlight })
	})
}
