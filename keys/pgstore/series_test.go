package pgstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/series/seriestest"
)

func TestSeries(t *testing.T) {
	seriestest.Run(t, func(t *testing.T) series.Storage { return open(t, options(pgtest.Database(t))).Series() })
}

// Gates that add to the same buckets at the same time neither lose counts nor deadlock.
func TestSeriesOfSeveralGates(t *testing.T) {
	o := options(pgtest.Database(t))
	const gates, batches, keys = 3, 10, 20
	minute := time.Now().Unix() / 60
	first := open(t, o).Series()
	var all sync.WaitGroup
	for g := range gates {
		s := open(t, o).Series()
		all.Go(func() {
			for n := range batches {
				b := countersync.Batch[series.Row]{Writer: fmt.Sprint("gate ", g), Seq: uint64(n + 1)}
				for k := range keys {
					id := fmt.Sprint("key_", (k*7+g)%keys) // in different orders
					b.Deltas = append(b.Deltas, series.Row{Key: id, Minute: minute, Counts: series.Counts{series.Requests: 1}})
				}
				if err := s.Add(t.Context(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for k := range keys {
		total := uint64(0)
		if err := first.Buckets(t.Context(), fmt.Sprint("key_", k), series.Days, 0, series.Days.OfMinute(minute), func(_ int64, c *series.Counts) error {
			total += c[series.Requests]
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if total != gates*batches {
			t.Errorf("key_%d has %d requests, want %d", k, total, gates*batches)
		}
	}
}
