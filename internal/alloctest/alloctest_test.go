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
