package caddymodule

import (
	"testing"
	"time"

	"github.com/docsgate/docsgate/inflight"
)

// Exiting simulates that the process is exiting, until the test ends.
func Exiting(t *testing.T) {
	t.Helper()
	set := func(exiting func() bool) func() bool {
		requests.mu.Lock()
		defer requests.mu.Unlock()
		before := requests.exiting
		requests.exiting = exiting
		return before
	}
	before := set(func() bool { return true })
	t.Cleanup(func() {
		set(before)
		requests.resume(DefaultShutdownGrace)
	})
}

// EndRequests ends the requests in flight after the grace period, as a shutdown does.
func EndRequests(grace time.Duration) { requests.begin(0, grace) }

// Tracked returns the number of requests in flight.
func Tracked() int {
	requests.mu.Lock()
	defer requests.mu.Unlock()
	n := 0
	for t := requests.first; t != nil; t = t.next {
		n++
	}
	return n
}

// ResetInFlight resets the counts for configurations that are loaded later, since abandoned answers of other tests count for
// some time.
func ResetInFlight() { inFlight = new(inflight.Limiter) }

// InFlight returns the requests in flight and waiting at an upstream, by class.
func InFlight(upstream string) map[string]inflight.Count {
	counts := map[string]inflight.Count{}
	for _, c := range inFlight.Counts() {
		if c.Upstream == upstream {
			counts[c.Class] = c
		}
	}
	return counts
}
