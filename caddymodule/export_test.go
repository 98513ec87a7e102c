package caddymodule

import (
	"testing"
	"time"

	"github.com/docsgate/docsgate/inflight"
)

// Exiting makes the process be about to exit, for Caddy's events, until the test ends.
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

// EndRequests ends the requests in flight after a time, as the end of the process does.
func EndRequests(grace time.Duration) { requests.begin(0, grace) }

// Tracked is the number of requests in flight.
func Tracked() int {
	requests.mu.Lock()
	defer requests.mu.Unlock()
	n := 0
	for t := requests.first; t != nil; t = t.next {
		n++
	}
	return n
}

// ForgetInFlight makes configurations that are loaded from now on count from nothing: answers that other tests have
// abandoned count for a minute.
func ForgetInFlight() { inFlight = new(inflight.Limiter) }

// InFlight returns what is in flight, and what waits, at an upstream, by class.
func InFlight(upstream string) map[string]inflight.Count {
	counts := map[string]inflight.Count{}
	for _, c := range inFlight.Counts() {
		if c.Upstream == upstream {
			counts[c.Class] = c
		}
	}
	return counts
}
