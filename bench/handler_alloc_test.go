//go:build unix && !race

package main

import (
	"runtime"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/caddymodule"
)

// handlerLimits are the maximum numbers of allocations and allocated bytes of the cases of BenchmarkHandler. The race detector changes
// them, so `make test-allocs` runs this test without it.
var handlerLimits = map[string]struct{ allocs, bytes uint64 }{
	"widget":            {29, 5400},
	"answer":            {26, 6000},
	"completion stream": {29, 5400},
	"32 KB history":     {29, 5400},
	"1 MB history":      {29, 5400},
	"unknown key":       {25, 4100},
	"preflight":         {3, 3000},
	"unknown path":      {14, 3900},
}

const allocHelp = `%s: a request makes %d allocations of %d bytes, the limits are %d and %d.
If a change needs them, raise handlerLimits in bench/handler_alloc_test.go and say in the commit what for. To find what allocates:
  go test -run='^$' -bench='Handler/%s' -benchtime=20000x -memprofile=mem -memprofilerate=1 ./bench
  go tool pprof -sample_index=alloc_objects -top mem`

// The request path must not allocate more than it does. A case that needs less is in the output of `make test-allocs`: lower its limit.
func TestHandlerAllocations(t *testing.T) {
	gate := newGate(t, defaultLimits)
	for _, tc := range handlerCases {
		t.Run(tc.name, func(t *testing.T) {
			limit, ok := handlerLimits[tc.name]
			if !ok {
				t.Fatal("no limits: add the case to handlerLimits")
			}
			allocs, bytes := tc.allocations(t, gate, limit.allocs, limit.bytes)
			switch {
			case allocs > limit.allocs || bytes > limit.bytes:
				t.Errorf(allocHelp, tc.name, allocs, bytes, limit.allocs, limit.bytes,
					strings.ReplaceAll(tc.name, " ", "_"))
			case allocs < limit.allocs || bytes < limit.bytes*8/10:
				t.Logf("%s: %d allocations of %d bytes, below the limits of %d and %d: lower handlerLimits in bench/handler_alloc_test.go",
					tc.name, allocs, bytes, limit.allocs, limit.bytes)
			}
		})
	}
}

// allocations returns the allocations of a request: the minimum of several averages, since other goroutines allocate, too, and pools
// lose their items in a garbage collection. It stops at the first one within the limits.
func (tc *handlerCase) allocations(t *testing.T, gate *caddymodule.Handler, maxAllocs, maxBytes uint64) (allocs, bytes uint64) {
	const tries = 20
	next, newRequest := tc.prepare(t, gate)
	calls := make([]*call, batch)
	for n := range tries {
		for i := range calls {
			calls[i] = newRequest()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, c := range calls {
			if err := gate.ServeHTTP(&c.w, c.r, next); err != nil || c.w.status != tc.status {
				t.Fatalf("status %d, error %v, want status %d", c.w.status, err, tc.status)
			}
		}
		runtime.ReadMemStats(&after)
		a, b := (after.Mallocs-before.Mallocs)/batch, (after.TotalAlloc-before.TotalAlloc)/batch
		if n == 0 {
			continue // fills pools and caches
		}
		if n == 1 || a < allocs {
			allocs = a
		}
		if n == 1 || b < bytes {
			bytes = b
		}
		if allocs <= maxAllocs && bytes <= maxBytes {
			break
		}
	}
	return allocs, bytes
}
