package caddymodule

import (
	"testing"
	"time"
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
