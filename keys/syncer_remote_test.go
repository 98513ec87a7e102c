package keys

import (
	"sync"
	"testing"
)

// While a feed becomes available and unavailable, its keys are either known or the feed is unavailable. At no moment is one of
// its tokens rejected as unknown, even if it is verified during the change.
func TestVerifyDuringFeedOutageTransitions(t *testing.T) {
	s := NewStore()
	s.SetFeedUnavailable("remote", true)
	s.SetReady(true)
	v := newVerifier(t, s, CacheConfig{})
	done := make(chan struct{})
	var verifiers sync.WaitGroup
	for range 4 {
		verifiers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if d := v.Verify(tokenOf("a"), noon); d.Reason != Allowed && d.Reason != FeedUnavailable {
					t.Errorf("decision %s", d.Reason)
					return
				}
			}
		})
	}
	for range 20_000 {
		mustReplace(t, s, "remote", sourceKey("a"))
		s.SetFeedUnavailable("remote", false)
		s.SetFeedUnavailable("remote", true)
		s.Remove("remote")
	}
	close(done)
	verifiers.Wait()
}
