package app

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/internal/buildinfo"
)

// RegisterMetrics registers collectors with the registry of a configuration. Collectors that several configurations or
// handlers share may be registered several times.
func RegisterMetrics(registry *prometheus.Registry, collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// buildInfo is 1, with the versions of this program as labels.
var buildInfo = func() prometheus.Collector {
	version, _ := caddy.Version()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "build_info", Help: "1, with the versions of docsgate, Caddy and Go.",
		ConstLabels: prometheus.Labels{"version": buildinfo.Version(), "caddy_version": version, "go_version": runtime.Version()},
	})
	gauge.Set(1)
	return gauge
}()

// RegisterMetrics registers collectors of the backend with the registry of the configuration. The metrics of a named backend get the label
// backend; those of the default one have no such label. Collectors that the default backend has in common with others, or that its handlers
// share, may be registered several times.
func (b *Backend) RegisterMetrics(collectors ...prometheus.Collector) error {
	registry := b.ctx.GetMetricsRegistry()
	if b.name == "" {
		return RegisterMetrics(registry, collectors...)
	}
	labels := prometheus.Labels{"backend": b.name}
	for _, c := range collectors {
		if !slices.Contains(b.collectors, c) {
			b.collectors = append(b.collectors, c)
			registry.MustRegister(unchecked{prometheus.WrapCollectorWith(labels, c)})
		}
	}
	return nil
}

// unchecked is a collector without descriptions: the registry would reject them, because other metrics of the same name do not have the
// label.
type unchecked struct{ prometheus.Collector }

// Describe implements prometheus.Collector.
func (unchecked) Describe(chan<- *prometheus.Desc) {}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("caddy", "docsgate", name), help, labels, nil)
}

var (
	descKeys     = describe("keys", "Keys by state.", "state")
	descKinds    = describe("active_keys", "Active keys by kind.", "kind")
	descTokens   = describe("token_limited_keys", "Active keys with a limit of tokens per day of their own.")
	descOpen     = describe("unlimited_keys", "Active keys, other than secret ones, that set visitor_requests to off and have no limit of requests.")
	descCache    = describe("cache_lookups_total", "Cache lookups of keys by result.", "result")
	descRevision = describe("store_revision", "Changes of the key store since the process created it.")
	descLoaded   = describe("feed_last_success_timestamp_seconds", "Unix time of a feed's last successful load. A feed loads when its keys change.", "feed")
	descFeedKeys = describe("feed_keys", "Keys that a feed provides.", "feed")
	descFailures = describe("feed_failures_total", "Failed loads of a feed.", "feed")
	descFeedUp   = describe("feed_up", "1 if the last load of a feed succeeded; 0 if it failed and its previous keys stay in use.", "feed")
)

// stateCollector collects the metrics of a shared state.
type stateCollector struct{ *State }

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descKeys, descKinds, descTokens, descOpen, descCache, descRevision, descLoaded, descFeedKeys, descFailures, descFeedUp} {
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
	for state, n := range c.Store.Counts(now) {
		gauge(descKeys, float64(n), state)
	}
	kinds := c.Store.Kinds(now)
	gauge(descKinds, float64(kinds.None), "none")
	gauge(descKinds, float64(kinds.Publishable), "publishable")
	gauge(descKinds, float64(kinds.AnyPage), "publishable_any_page")
	gauge(descKinds, float64(kinds.Secret), "secret")
	gauge(descTokens, float64(kinds.TokenLimited))
	gauge(descOpen, float64(kinds.Unlimited))
	stats := c.Verifier.CacheStats()
	counter(descCache, stats.Hits, "hit")
	counter(descCache, stats.NegativeHits, "negative_hit")
	counter(descCache, stats.Misses, "miss")
	gauge(descRevision, float64(c.Store.Revision()))
	for _, feed := range c.Syncer.Status() {
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
