package keys

import (
	"sync"
	"testing"
)

// While a feed comes and goes its keys are known, or the gate does not know; at no moment is one of them called wrong, not
// even to those who ask just when it changes.
func TestNoKeyIsCalledWrongAtTheMomentOfAChange(t *testing.T) {
	s := NewStore()
	s.SetAway("remote", true)
	s.SetReady(true)
	v := newVerifier(t, s, CacheConfig{})
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if d := v.Verify(tokenOf("a"), noon); d.Reason != Allowed && d.Reason != FeedAway {
					t.Errorf("decision %s", d.Reason)
					return
				}
			}
		})
	}
	for range 20_000 {
		mustReplace(t, s, "remote", sourceKey("a"))
		s.SetAway("remote", false)
		s.SetAway("remote", true)
		s.Remove("remote")
	}
	close(done)
	asking.Wait()
}
