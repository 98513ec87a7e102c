package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0:         100,
		1 << 20:   1000,
		8 << 20:   400,
		32 << 20:  100,
		300 << 20: 100,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes: %d, want %d", live, got, want)
		}
	}
}

// gcPercentNow returns the percentage of this process.
func gcPercentNow() int {
	percent := debug.SetGCPercent(defaultGCPercent)
	debug.SetGCPercent(percent)
	return percent
}

func TestCollectionsAreSpaced(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(defaultGCPercent))
	t.Setenv("GOGC", "50")
	spaceCollections()
	runtime.GC()
	if percent := gcPercentNow(); percent != defaultGCPercent {
		t.Errorf("with GOGC: %d", percent)
	}
	if err := os.Unsetenv("GOGC"); err != nil { // t.Setenv restores it
		t.Fatal(err)
	}
	spaceCollections()
	awaitGCPercent(t, func(percent int) bool { return percent > defaultGCPercent })
	large := make([]byte, 2*minAllocated)
	awaitGCPercent(t, func(percent int) bool { return percent == defaultGCPercent })
	runtime.KeepAlive(large)
	awaitGCPercent(t, func(percent int) bool { return percent > defaultGCPercent })
}

// awaitGCPercent collects garbage until the percentage is as wanted.
func awaitGCPercent(t *testing.T, wanted func(int) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		runtime.GC()
		if wanted(gcPercentNow()) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the percentage is still %d", gcPercentNow())
		}
		time.Sleep(time.Millisecond)
	}
}
