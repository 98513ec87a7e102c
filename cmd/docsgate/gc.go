package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// minAllocated is how much is allocated between two garbage collections at least, in bytes. A gate with few keys has some 12 MB of live
// memory. With Go's default it would collect garbage each time that it has allocated as much again, which is every thousand requests.
const minAllocated = 32 << 20

// defaultGCPercent is Go's default.
const defaultGCPercent = 100

// spaceCollections keeps garbage collections at least minAllocated apart, unless the environment sets GOGC. A process with more live
// memory than that collects garbage as often as with Go's default. A memory limit, which Caddy derives from that of the container, has
// precedence: close to it, Go collects garbage more often.
func spaceCollections() {
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	c := &collections{percent: defaultGCPercent}
	c.watch(new(sentinel))
}

// collections adjusts the percentage of Go's garbage collector to the live memory, after each collection.
type collections struct{ percent int }

// sentinel is an unreachable object. Its finalizer runs after each collection. It is larger than what Go allocates together with other
// objects.
type sentinel struct{ _ [16]byte }

// watch is the finalizer of the sentinel.
func (c *collections) watch(s *sentinel) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	// Setting it stops all goroutines for a moment, so small changes are ignored.
	if percent := gcPercent(live[0].Value.Uint64()); percent > c.percent+c.percent/10 || percent < c.percent-c.percent/10 {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.SetFinalizer(s, c.watch)
}

// gcPercent returns the percentage for live memory in bytes.
func gcPercent(live uint64) int {
	if live == 0 { // before the first collection
		return defaultGCPercent
	}
	return int(max(defaultGCPercent, min(minAllocated*100/live, 10*defaultGCPercent)))
}
