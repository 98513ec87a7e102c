package gateway

import (
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/alloctest"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/ratelimit"
)

// headersOf returns the values of the headers after they have been set.
func headersOf(set func(*client)) (policy, limit string) {
	c := client{w: httptest.NewRecorder(), started: time.Unix(1000, 0)}
	set(&c)
	return c.w.Header().Get("RateLimit-Policy"), c.w.Header().Get("RateLimit")
}

func TestLimitHeaders(t *testing.T) {
	key := ratelimit.Decision{Limit: ratelimit.PerKey, Rate: ratelimit.Rate{Count: 600, Per: time.Minute}, Remaining: 599, Reset: 100 * time.Millisecond}
	visitor := ratelimit.Decision{
		Limit: ratelimit.PerVisitor, Rate: ratelimit.Rate{Count: 20, Per: 90 * time.Second}, Rejected: ratelimit.PerVisitor,
		RetryAfter: 4500 * time.Millisecond, Reset: 90 * time.Second,
	}
	day := quota.Decision{
		Tightest: quota.QuestionsPerDay, Max: 1000, Remaining: 3, Start: time.Unix(0, 0), Reset: time.Unix(86400, 0),
	}
	tokens := day
	tokens.Tightest, tokens.Rejected, tokens.Remaining, tokens.InFlight = quota.TokensPerDay, quota.TokensPerDay, 0, true
	month := day
	month.Tightest, month.Max, month.Remaining, month.Reset = quota.QuestionsPerMonth, 1e9, 999_999_999, time.Unix(31*86400, 0)
	for _, test := range []struct {
		name          string
		set           func(*client)
		policy, limit string
	}{
		{"none", func(c *client) { c.setRateHeaders(&ratelimit.Decision{}) }, "", ""},
		{"key", func(c *client) { c.setRateHeaders(&key) }, `"key";q=600;w=60`, `"key";r=599;t=1`},
		{"visitor", func(c *client) { c.setRateHeaders(&visitor) }, `"visitor";q=20;w=90`, `"visitor";r=0;t=5`},
		{"day", func(c *client) { c.setQuotaHeaders(&day) }, `"questions_per_day";q=1000;w=86400`, `"questions_per_day";r=3;t=85400`},
		{"tokens", func(c *client) { c.setQuotaHeaders(&tokens) }, `"tokens_per_day";q=1000;qu="tokens";w=86400`, `"tokens_per_day";r=0;t=5`},
		{
			"month", func(c *client) { c.setQuotaHeaders(&month) },
			`"questions_per_month";q=1000000000;w=2678400`, `"questions_per_month";r=999999999;t=2677400`,
		},
		{"tighter quota", func(c *client) { c.setRateHeaders(&key); c.setQuotaHeaders(&day) }, `"questions_per_day";q=1000;w=86400`, `"questions_per_day";r=3;t=85400`},
		{"tighter rate", func(c *client) { c.setRateHeaders(&key); c.setQuotaHeaders(&month) }, `"key";q=600;w=60`, `"key";r=599;t=1`},
	} {
		for range 2 { // formatted, and from the cache
			if policy, limit := headersOf(test.set); policy != test.policy || limit != test.limit {
				t.Errorf("%s: %q and %q, want %q and %q", test.name, policy, limit, test.policy, test.limit)
			}
		}
	}
}

// Values with the same slot in the cache do not replace each other in responses, also concurrently.
func TestLimitHeadersShareSlots(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range int64(20_000) {
				v := limitValue{limitName(n % 5), n * 7919 % 5000, n % 61}
				if got := remainingValues.get(v); got != formatRemainingValue(v) {
					t.Errorf("%+v: %q", v, got)
				}
			}
		})
	}
	wg.Wait()
}

// A handler that modifies a value in place, as Caddy's header does, changes only its own response.
func TestLimitHeadersAreNotShared(t *testing.T) {
	key := ratelimit.Decision{Limit: ratelimit.PerKey, Rate: ratelimit.Rate{Count: 600, Per: time.Minute}, Remaining: 1}
	headersOf(func(c *client) {
		c.setRateHeaders(&key)
		c.w.Header()["Ratelimit"][0] = "changed"
	})
	if _, limit := headersOf(func(c *client) { c.setRateHeaders(&key) }); limit != `"key";r=1;t=0` {
		t.Errorf("RateLimit %q", limit)
	}
}

func TestLimitHeadersDoNotAllocate(t *testing.T) {
	c := client{w: httptest.NewRecorder()}
	n := 0
	d := ratelimit.Decision{Limit: ratelimit.PerVisitor, Rate: ratelimit.Rate{Count: 300, Per: time.Minute}}
	set := func() {
		n++
		d.Remaining = 299 - n%50 // a visitor who uses a sixth of the default limit
		d.Reset = time.Duration(n%50) * 200 * time.Millisecond
		c.setRateHeaders(&d)
	}
	for range 50 {
		set()
	}
	if allocs := alloctest.MinAllocs(1000, set); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkLimitHeaders(b *testing.B) {
	c := client{w: httptest.NewRecorder()}
	d := ratelimit.Decision{Limit: ratelimit.PerVisitor, Rate: ratelimit.Rate{Count: 300, Per: time.Minute}}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		d.Remaining, d.Reset = 299-n%50, time.Duration(n%50)*200*time.Millisecond
		c.setRateHeaders(&d)
	}
}
