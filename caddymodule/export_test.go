package caddymodule

import (
	"testing"
	"time"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/caddymodule/gateway"
	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/inflight/shares"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/ratelimit"
)

// Exiting simulates that the process is exiting, until the test ends.
func Exiting(t *testing.T) {
	t.Helper()
	restore := lifecycle.Requests.SetExiting(func() bool { return true })
	t.Cleanup(restore)
}

// ExitingNow is Exiting until restore is called.
func ExitingNow() (restore func()) { return lifecycle.Requests.SetExiting(func() bool { return true }) }

// EndRequests ends the requests in flight after the grace period, as a shutdown does.
func EndRequests(grace time.Duration) { lifecycle.Requests.Begin(0, grace) }

// Tracked returns the number of requests in flight.
func Tracked() int { return lifecycle.Requests.Len() }

// ResetInFlight resets the counts for configurations that are loaded later, since abandoned answers of other tests count for
// some time.
func ResetInFlight() {
	gateway.InFlight = new(inflight.Limiter)
	gateway.InFlightShares = shares.New(gateway.InFlight)
	state := gateway.StateOf("")
	state.Rates, state.FailedTokens = ratelimit.New(0), ratelimit.NewAddressLimiter(0)
	app.CountersOf("").Quotas = quota.New()
}

// SetMaxVisitors discards all counters of visitors, and limits their number.
func SetMaxVisitors(n int) { gateway.StateOf("").Rates = ratelimit.New(n) }

// InFlight returns the requests in flight and waiting at an upstream, by class.
func InFlight(upstream string) map[string]inflight.Count {
	counts := map[string]inflight.Count{}
	for _, c := range gateway.InFlight.Counts() {
		if c.Upstream == upstream {
			counts[c.Class] = c
		}
	}
	return counts
}
