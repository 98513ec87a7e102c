package cluster

import (
	"sync"
	"time"

	"github.com/docsgate/docsgate/e2e/cluster/history"
)

// control repeatedly sends a request that needs neither keys nor a database to each node, until stop is called. What delays these requests
// is not docsgate, but the machine.
func (c *cluster) control(start time.Time) (stop func() map[int][]history.Sample) {
	var (
		mu      sync.Mutex
		samples = map[int][]history.Sample{}
		running sync.WaitGroup
		stopped = make(chan struct{})
	)
	for i, n := range c.nodes {
		running.Go(func() {
			for {
				begin := time.Since(start)
				err := n.alive()
				end := time.Since(start)
				if err == nil {
					mu.Lock()
					samples[i] = append(samples[i], history.Sample{Begin: begin, End: end})
					mu.Unlock()
				}
				select {
				case <-stopped:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return func() map[int][]history.Sample {
		close(stopped)
		running.Wait()
		return samples
	}
}

// slowest returns the duration of the slowest request.
func slowest(samples map[int][]history.Sample) (d time.Duration) {
	for _, of := range samples {
		for _, s := range of {
			d = max(d, s.End-s.Begin)
		}
	}
	return d
}
