package cluster

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// A key that one gate revokes is rejected by the others within a second, and its streams end: the 99th percentile of 1,000 revocations.
func TestPropagation(t *testing.T) {
	const revocations, batch = 1000, 50
	c := start(t, 3, sharedServer(t))
	stop := c.control(time.Now())
	var known, streamEnds []time.Duration
	for first := 0; first < revocations; first += batch {
		tokens := make([]key, batch)
		for i := range tokens {
			tokens[i] = c.nodes[(first+i)%3].create(fmt.Sprintf("key %d", first+i))
		}
		for _, k := range tokens {
			c.everywhere(k.Token, valid)
		}
		for i, k := range tokens {
			at := c.nodes[(first+i)%3]
			var open []*stream
			if i%10 == 0 {
				for _, n := range c.nodes {
					open = append(open, n.openStream(k.Token))
				}
				for _, s := range open {
					s.awaitEvents()
				}
			}
			at.change(k, "revoke")
			acknowledged := time.Now()
			at.expect(k.Token, invalid)
			var (
				mu      sync.Mutex
				waiting sync.WaitGroup
			)
			for _, n := range c.nodes {
				if n == at {
					continue
				}
				waiting.Go(func() {
					n.awaitVerdict(k.Token, invalid)
					mu.Lock()
					defer mu.Unlock()
					known = append(known, time.Since(acknowledged))
				})
			}
			waiting.Wait()
			for _, s := range open {
				s.expectEnd()
				streamEnds = append(streamEnds, max(0, s.at.Sub(acknowledged)))
			}
			if t.Failed() {
				return
			}
		}
	}
	delay := slowest(stop())
	for what, took := range map[string][]time.Duration{"rejected at another gate": known, "streams ended": streamEnds} {
		slices.Sort(took)
		p99 := took[len(took)*99/100]
		t.Logf("%d revocations, %s: p50 %v, p99 %v, maximum %v; meanwhile a request that needs no key took up to %v", revocations, what,
			took[len(took)/2].Round(100*time.Microsecond), p99.Round(100*time.Microsecond), took[len(took)-1].Round(100*time.Microsecond),
			delay.Round(100*time.Microsecond))
		if p99 > time.Second+delay {
			t.Errorf("%s: the 99th percentile is %v, more than a second", what, p99)
		}
	}
}
