package alloctest_test

import (
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

var sink []byte

// Others' allocations do not count, and those of the function do.
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
	if n := alloctest.Least(10, func() { sink = make([]byte, 100) }); n < 1 {
		t.Errorf("%v allocations, want 1 at the least", n)
	}
	close(stop)
	others.Wait()
	if n := alloctest.Least(10, func() {}); n != 0 {
		t.Errorf("%v allocations of nothing", n)
	}
	calls := 0
	if n := alloctest.Least(10, func() {
		if calls++; calls < 50 { // as if somebody else did
			sink = make([]byte, 100)
		}
	}); n != 0 {
		t.Errorf("%v allocations, though there are none any more", n)
	}
}

// One call that allocates much, for whatever cause, is not all that is looked at; what each call allocates counts.
func TestLeastBytes(t *testing.T) {
	calls := 0
	once := func() {
		if calls++; calls == 1 {
			sink = make([]byte, 1<<20)
		}
	}
	if n := alloctest.LeastBytes(1<<16, once); n > 1<<16 || calls < 2 {
		t.Errorf("%d bytes in %d calls", n, calls)
	}
	if n := alloctest.LeastBytes(1<<16, func() { sink = make([]byte, 1<<20) }); n < 1<<20 {
		t.Errorf("%d bytes, want 1 MiB at the least", n)
	}
	calls = 0
	if alloctest.LeastBytes(1<<24, func() { calls++ }); calls != 1 {
		t.Errorf("%d calls, though the first was enough", calls)
	}
}
