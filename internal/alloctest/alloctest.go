// Package alloctest measures what a function allocates while others allocate, too.
package alloctest

import (
	"runtime"
	"testing"
)

// tries is how often is counted at most. Whoever allocates in between does so now and then, not all the time.
const tries = 20

// Least returns how many allocations a call of f takes on average, as [testing.AllocsPerRun] does, at the least of several
// times that each call it runs times. That one counts what the whole process allocates: with caches and servers of other
// tests that are just ending, now and then some that are not f's. What f itself allocates is in each count.
func Least(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for n := 1; n < tries && least > 0; n++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}

// LeastBytes returns how many bytes a call of f allocates, garbage included, at the least of several calls. The first that is
// enough or less is the last.
func LeastBytes(enough uint64, f func()) uint64 {
	least := bytes(f)
	for n := 1; n < tries/4 && least > enough; n++ {
		least = min(least, bytes(f))
	}
	return least
}

func bytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
