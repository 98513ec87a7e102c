package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a backend. The values of labels are from fixed sets and never contain a key, ID, origin, path or host.
type metrics struct {
	decisions        *prometheus.CounterVec
	requestSeconds   *prometheus.HistogramVec
	firstSeconds     *prometheus.HistogramVec
	streamSeconds    *prometheus.HistogramVec
	receivedBytes    *prometheus.CounterVec
	sentBytes        *prometheus.CounterVec
	verifySeconds    prometheus.Histogram
	upstreamFailures *prometheus.CounterVec
	wouldReject      *prometheus.CounterVec
	tokensSettled    *prometheus.CounterVec
	leakedKeys       prometheus.Counter
	abortedRequests  *prometheus.CounterVec
	cancelledAnswers *prometheus.CounterVec
	queueSeconds     *prometheus.HistogramVec
	queueRejected    *prometheus.CounterVec
	streamsInFlight  prometheus.Gauge
}

func newMetrics() *metrics {
	return &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "auth_decisions_total",
			Help: "Authentication and authorization decisions by endpoint and reason: allowed, or why the request was rejected.",
		}, []string{"endpoint", "reason"}),

		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "request_duration_seconds",
			Help:    "Time from the arrival of a request to the end of its response, by endpoint.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600},
		}, []string{"endpoint"}),

		firstSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "time_to_first_event_seconds",
			Help:    "Time from the arrival of a request to the first event of a stream from DocsGPT, by endpoint.",
			Buckets: []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"endpoint"}),

		streamSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "stream_duration_seconds",
			Help:    "Time from the arrival of a request to the end of its streamed response, by endpoint.",
			Buckets: []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600},
		}, []string{"endpoint"}),

		receivedBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "received_bytes_total",
			Help: "Size of the bodies of requests that were passed on to DocsGPT, by endpoint.",
		}, []string{"endpoint"}),

		sentBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "sent_bytes_total",
			Help: "Size of the bodies of responses, those of the gate included, by endpoint.",
		}, []string{"endpoint"}),

		verifySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "verify_duration_seconds",
			Help:    "Time to verify a token.",
			Buckets: []float64{2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2},
		}),

		upstreamFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "upstream_failures_total",
			Help: "Failed requests to DocsGPT by endpoint and code. The code upstream_refused most likely means that DocsGPT " +
				"rejected the gate's credential.",
		}, []string{"endpoint", "code"}),

		wouldReject: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "would_reject_total",
			Help: "Requests that limits in dry_run would have rejected, by reason.",
		}, []string{"reason"}),

		tokensSettled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "tokens_settled_total",
			Help: "Tokens of answers of keys with quotas, by the source of the number: usage (the response), token_usage (DocsGPT's table), estimate (the size of the response).",
		}, []string{"source"}),

		leakedKeys: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "leaked_keys_total",
			Help: "Secret keys that a browser has presented, so that they are visible in a web page. Each token counts once.",
		}),

		abortedRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "aborted_requests_total",
			Help: "Requests that were aborted before their response was complete, other than by DocsGPT, by endpoint and reason: " +
				"client_disconnected, client_too_slow, shutting_down.",
		}, []string{"endpoint", "reason"}),

		cancelledAnswers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "cancelled_answers_total",
			Help: "Answers that no client reads any longer and that DocsGPT would continue, by the reason and the result of canceling them " +
				"at DocsGPT: canceled, finished, not_allowed, not_found, unsupported, unnamed, failed, dropped.",
		}, []string{"reason", "result"}),

		queueSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "queue_duration_seconds",
			Help:    "Time that requests have waited for a free slot, by class, including those that left the queue without one.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300},
		}, []string{"class"}),

		queueRejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "queue_rejections_total",
			Help: "Requests that the queue has rejected, by class and reason: full, evicted (to make room for a key or visitor with " +
				"fewer requests), timeout.",
		}, []string{"class", "reason"}),

		streamsInFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "caddy", Subsystem: "docsgate", Name: "streams_in_flight",
			Help: "Streamed responses in flight.",
		}),
	}
}

// collectors returns the collectors of the metrics.
func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.decisions, m.requestSeconds, m.firstSeconds, m.streamSeconds, m.receivedBytes, m.sentBytes, m.verifySeconds, m.upstreamFailures,
		m.wouldReject, m.tokensSettled, m.leakedKeys, m.abortedRequests, m.cancelledAnswers, m.queueSeconds, m.queueRejected, m.streamsInFlight,
	}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("caddy", "docsgate", name), help, labels, nil)
}
