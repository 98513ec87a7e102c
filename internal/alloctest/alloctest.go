// Package alloctest measures the allocations of a function while other goroutines allocate, too.
package alloctest

import (
	"runtime"
	"testing"
)

// maxTries is the maximum number of measurements. Other goroutines are expected to allocate occasionally, not permanently.
const maxTries = 20

// MinAllocs returns the average number of allocations of a call of f: the minimum of several results of [testing.AllocsPerRun], each
// with this number of runs. AllocsPerRun counts the allocations of the whole process, which include those of caches and servers
// of other tests that are shutting down. The allocations of f itself are in every result.
func MinAllocs(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for n := 1; n < maxTries && least > 0; n++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}

// MinBytes returns the number of bytes that a call of f allocates, including garbage: the minimum of several calls. It stops at
// the first result of at most enough bytes.
func MinBytes(enough uint64, f func()) uint64 {
	least := allocatedBytes(f)
	for n := 1; n < maxTries/4 && least > enough; n++ {
		least = min(least, allocatedBytes(f))
	}
	return least
}

func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
