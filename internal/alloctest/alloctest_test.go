package alloctest_test

import (
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

var sink []byte

// Only the allocations of the function are counted.
func TestLeast(t *testing.T) {
	var others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = make([]byte, 1<<16)
			}
		}
	})
	if n := alloctest.MinAllocs(10, func() { sink = make([]byte, 100) }); n < 1 {
		t.Errorf("%v allocations, want at least 1", n)
	}
	close(stop)
	others.Wait()
	if n := alloctest.MinAllocs(10, func() {}); n != 0 {
		t.Errorf("%v allocations of an empty function", n)
	}
	calls := 0
	if n := alloctest.MinAllocs(10, func() {
		if calls++; calls < 50 { // like those of another goroutine
			sink = make([]byte, 100)
		}
	}); n != 0 {
		t.Errorf("%v allocations, although the last calls have none", n)
	}
}

// A single call with many allocations does not determine the result; allocations of every call do.
func TestLeastBytes(t *testing.T) {
	calls := 0
	once := func() {
		if calls++; calls == 1 {
			sink = make([]byte, 1<<20)
		}
	}
	if n := alloctest.MinBytes(1<<16, once); n > 1<<16 || calls < 2 {
		t.Errorf("%d bytes in %d calls", n, calls)
	}
	if n := alloctest.MinBytes(1<<16, func() { sink = make([]byte, 1<<20) }); n < 1<<20 {
		t.Errorf("%d bytes, want at least 1 MiB", n)
	}
	calls = 0
	if alloctest.MinBytes(1<<24, func() { calls++ }); calls != 1 {
		t.Errorf("%d calls, although the first was sufficient", calls)
	}
}
