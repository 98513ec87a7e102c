package caddymodule

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are one set a process, so that counters survive reloads. Labels are from closed sets; no key, ID, origin,
// path or host is one.
var (
	decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "auth_decisions_total",
		Help: "Requests by endpoint and by what was decided: allowed, or why not.",
	}, []string{"endpoint", "reason"})

	requestSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "request_duration_seconds",
		Help:    "Time from a request's arrival to the end of its answer, by endpoint.",
		Buckets: []float64{.001, .005, .025, .1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600},
	}, []string{"endpoint"})

	verifySeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "verify_duration_seconds",
		Help:    "Time to find and check a key.",
		Buckets: []float64{2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2},
	})

	upstreamFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "upstream_failures_total",
		Help: "Answers of DocsGPT that were no success, by endpoint and code. The code upstream_refused most likely " +
			"means that the gate's own credential for DocsGPT is not valid there.",
	}, []string{"endpoint", "code"})

	abortedRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "aborted_requests_total",
		Help: "Requests that ended before their response was complete, and not by DocsGPT, by endpoint and reason: " +
			"client_disconnected, client_too_slow, shutting_down.",
	}, []string{"endpoint", "reason"})

	openStreams = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "streams_in_flight",
		Help: "Streamed answers under way.",
	})
)

// registerMetrics adds the process's metrics, and this configuration's view of its keys, to a registry. Each loaded
// configuration has a registry of its own.
func (a *App) registerMetrics(registry *prometheus.Registry) error {
	all := []prometheus.Collector{
		decisions, requestSeconds, verifySeconds, upstreamFailures, abortedRequests, openStreams,
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
	descCache    = describe("cache_lookups_total", "Look-ups of keys by where they ended.", "result")
	descRevision = describe("store_revision", "Changes of the key store since the process began to use it.")
	descLoaded   = describe("feed_last_success_timestamp_seconds", "Unix time of a feed's last successful load. A feed loads when its keys change.", "feed")
	descFeedKeys = describe("feed_keys", "Keys that a feed gave.", "feed")
	descFailures = describe("feed_failures_total", "Readings of a feed that failed.", "feed")
	descFeedUp   = describe("feed_up", "1 if a feed's last load succeeded; 0 if it failed, so that its last good keys stay in force.", "feed")
)

// stateCollector reads a state when it is asked for metrics.
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
	for word, n := range c.store.Counts(now) {
		gauge(descKeys, float64(n), word)
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
