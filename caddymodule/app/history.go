package app

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/series/boltseries"
)

var historyFailures = prometheus.NewCounter(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "docsgate", Name: "usage_save_failures_total",
	Help: "Failed attempts to save the usage of keys over time, which is only in memory until an attempt succeeds.",
})

var droppedUsage = prometheus.NewCounter(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "docsgate", Name: "usage_dropped_requests_total",
	Help: "Requests that are not in the usage of keys over time, since too much of it was in memory.",
})

// HistoryExt is the extension of the file with the usage of keys over time, beside the file of a key store.
const HistoryExt = ".usage"

// NewHistory returns the usage over time of the keys of an open store: in its database, or in a file beside it. Nothing is opened before
// it is used, and a failure does not take the gate down. The caller must close it before the store.
func (l StoreLocation) NewHistory(store *OpenStore, logger *slog.Logger) *series.History {
	return series.New(series.Options{
		Open: func(context.Context) (series.Storage, error) { return l.openHistory(store) },
		Log:  logger, Failed: historyFailures.Inc, Dropped: droppedUsage.Inc,
	})
}

func (l StoreLocation) openHistory(store *OpenStore) (series.Storage, error) {
	if store.Database != nil {
		return store.Database.Series(), nil
	}
	return boltseries.Open(l.local + HistoryExt)
}

// History returns the usage of keys over time; nil: it is not recorded, since the backend has no key store.
func (s *State) History() *series.History {
	if s.registry == nil {
		return nil
	}
	return s.registry.history
}
