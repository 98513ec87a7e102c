package caddymodule

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics are global, so that counters survive reloads. The values of labels are from fixed sets and never contain a key,
// ID, origin, path or host.
var (
	decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "auth_decisions_total",
		Help: "Authentication and authorization decisions by endpoint and reason: allowed, or why the request was rejected.",
	}, []string{"endpoint", "reason"})

	requestSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "request_duration_seconds",
		Help:    "Time from the arrival of a request to the end of its response, by endpoint.",
		Buckets: []float64{.001, .005, .025, .1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600},
	}, []string{"endpoint"})

	verifySeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "verify_duration_seconds",
		Help:    "Time to verify a token.",
		Buckets: []float64{2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2},
	})

	upstreamFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "upstream_failures_total",
		Help: "Failed requests to DocsGPT by endpoint and code. The code upstream_refused most likely means that DocsGPT " +
			"rejected the gate's credential.",
	}, []string{"endpoint", "code"})

	abortedRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "aborted_requests_total",
		Help: "Requests that were aborted before their response was complete, other than by DocsGPT, by endpoint and reason: " +
			"client_disconnected, client_too_slow, shutting_down.",
	}, []string{"endpoint", "reason"})

	streamsInFlight = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "streams_in_flight",
		Help: "Streamed responses in flight.",
	})
)

// registerMetrics registers the global metrics and those of the configuration's keys. Each configuration has its own
// registry.
func (a *App) registerMetrics(registry *prometheus.Registry) error {
	all := []prometheus.Collector{
		decisions, requestSeconds, verifySeconds, upstreamFailures, abortedRequests, streamsInFlight,
		stateCollector{a.state},
		inFlightCollector{inFlight},
	}
	for _, c := range all {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("caddy", "docsgate", name), help, labels, nil)
}

var (
	descKeys     = describe("keys", "Keys by state.", "state")
	descCache    = describe("cache_lookups_total", "Cache lookups of keys by result.", "result")
	descRevision = describe("store_revision", "Changes of the key store since the process created it.")
	descLoaded   = describe("feed_last_success_timestamp_seconds", "Unix time of a feed's last successful load. A feed loads when its keys change.", "feed")
	descFeedKeys = describe("feed_keys", "Keys that a feed provides.", "feed")
	descFailures = describe("feed_failures_total", "Failed loads of a feed.", "feed")
	descFeedUp   = describe("feed_up", "1 if the last load of a feed succeeded; 0 if it failed and its previous keys stay in use.", "feed")
)

// stateCollector collects the metrics of a shared state.
type stateCollector struct{ *sharedState }

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descKeys, descCache, descRevision, descLoaded, descFeedKeys, descFailures, descFeedUp} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	now := time.Now()
	for state, n := range c.store.Counts(now) {
		gauge(descKeys, float64(n), state)
	}
	stats := c.verifier.CacheStats()
	counter(descCache, stats.Hits, "hit")
	counter(descCache, stats.NegativeHits, "negative_hit")
	counter(descCache, stats.Misses, "miss")
	gauge(descRevision, float64(c.store.Revision()))
	for _, feed := range c.syncer.Status() {
		if !feed.LastSuccess.IsZero() {
			gauge(descLoaded, float64(feed.LastSuccess.UnixMilli())/1e3, feed.Name)
		}
		gauge(descFeedKeys, float64(feed.Keys), feed.Name)
		counter(descFailures, feed.Failures, feed.Name)
		up := 1.0
		if feed.LastError != "" {
			up = 0
		}
		gauge(descFeedUp, up, feed.Name)
	}
}
