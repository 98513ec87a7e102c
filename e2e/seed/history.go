package main

import (
	"context"
	"math"
	"time"

	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/series/boltseries"
)

// historyDays is how far the usage over time of a seeded key goes back.
const historyDays = 60

// openHistory opens the usage over time beside a key store.
func openHistory(path string) *series.History {
	return series.New(series.Options{
		Open: func(context.Context) (series.Storage, error) { return boltseries.Open(path + ".usage") },
	})
}

// record adds the usage over time of the key, with the same busy hours as its counters of the last 24 hours. It is the same in every run.
func (k *key) record(h *series.History, id string, now time.Time) {
	for age := range min(historyDays, int(k.Days)) * 24 {
		hour := math.Mod(float64(age), 24) // the busiest one is nine hours ago
		noise := 1 - 0.4*math.Sin(float64(age*age)+k.Peak)*math.Sin(float64(age)+k.Peak)
		if day := age / 24 % 7; day == 2 || day == 3 {
			noise *= 0.4 // a weekend
		}
		n := uint64(k.Peak * noise * (math.Exp(-math.Pow(hour-9, 2)/24) + 0.06))
		if n == 0 {
			continue
		}
		c := series.Counts{
			series.Requests: n, series.Streams: n, series.WithoutSources: n / 11, series.BytesReceived: 900 * n, series.BytesSent: 6200 * n,
			series.EstimatedTokens: 1900 * n, series.Aborted: n / 25, series.RejectedLimit: n / 20, series.Dislikes: n / 70,
		}
		if age%31 == 14 { // DocsGPT was down
			c[series.Failed] = n / 2
		}
		for i := range n - c[series.Failed] - c[series.Aborted] {
			c.AddFirstEvent(time.Duration(300+i%9*130) * time.Millisecond)
			c.AddAnswer(time.Duration(2200+i%13*700) * time.Millisecond)
		}
		h.Record(id, now.Add(-time.Duration(age)*time.Hour), &c)
	}
}
