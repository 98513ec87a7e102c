package shares

import (
	"fmt"
	"testing"

	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/internal/redistest"
)

// BenchmarkExchange measures an exchange of a gate while n gates have requests of four keys in flight. Redis runs a script in about the
// elapsed time, less a round trip.
func BenchmarkExchange(b *testing.B) {
	limits := inflight.Limits{Total: 1000, PerKey: 250}
	for _, count := range []int{1, 3, 20, 100} {
		b.Run(fmt.Sprintf("%d gates", count), func(b *testing.B) {
			client := redistest.Start(b).Client()
			nodes := make([]*node, count)
			for i := range nodes {
				nodes[i] = newNode(b, client, limits, longLeases)
				nodes[i].exchange()
				for key := range 4 {
					for range 2 {
						nodes[i].wait(fmt.Sprint("key", key), 1)
					}
				}
				nodes[i].exchange()
			}
			i := 0
			for b.Loop() {
				nodes[i%count].exchange()
				i++
			}
		})
	}
}
