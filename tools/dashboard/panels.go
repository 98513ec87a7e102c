package main

// row is a section of the dashboard.
type row struct {
	title  string
	panels []panel
}

// panel is a plot over time, or a single value.
type panel struct {
	title, description string
	unit               string // as Grafana names it
	stat               bool   // a single value
	stacked            bool
	thresholds         []threshold // of a single value
	queries            []query
}

// query is a PromQL expression, with a template for the legend.
type query struct{ expr, legend string }

// threshold is the color of values from a number on. The first one has no lower bound.
type threshold struct {
	color string
	from  float64
}

var (
	neutral  = []threshold{{"text", 0}}
	badAbove = func(from float64) []threshold { return []threshold{{"green", 0}, {"red", from}} }
	badBelow = func(from float64) []threshold { return []threshold{{"red", 0}, {"green", from}} }
)

// of selects the gates that are selected at the top of the dashboard.
const of = `job=~"$job",instance=~"$instance"`

const (
	decisions = `caddy_docsgate_auth_decisions_total{` + of
	perSecond = `[$__rate_interval]))`
)

var rows = []row{
	{"Overview", []panel{
		{
			title: "Gates", description: "Gates that Prometheus reaches.", stat: true, thresholds: badBelow(1),
			queries: []query{{`sum(up{` + of + `})`, ""}},
		},
		{
			title: "Forwarded", description: "Requests that the gates forward to DocsGPT.", unit: "reqps", stat: true, thresholds: neutral,
			queries: []query{{`sum(rate(` + decisions + `,reason="allowed"}` + perSecond, ""}},
		},
		{
			title: "Rejected", description: "Share of the requests that the gates reject.", unit: "percentunit", stat: true, thresholds: neutral,
			queries: []query{{`1 - sum(rate(` + decisions + `,reason="allowed"}` + perSecond + ` / sum(rate(` + decisions + `}` + perSecond, ""}},
		},
		{
			title: "Open streams", description: "Streamed answers in flight.", stat: true, thresholds: neutral,
			queries: []query{{`sum(caddy_docsgate_streams_in_flight{` + of + `})`, ""}},
		},
		{
			title: "Active keys", description: "Keys that are valid now. All gates of a shared store have the same.", stat: true, thresholds: neutral,
			queries: []query{{`max(caddy_docsgate_keys{` + of + `,state="active"})`, ""}},
		},
		{
			title: "Feeds that fail", description: "Feeds whose last load failed. Their previous keys stay in use.", stat: true, thresholds: badAbove(1),
			queries: []query{{`count(caddy_docsgate_feed_up{` + of + `}) - sum(caddy_docsgate_feed_up{` + of + `})`, ""}},
		},
	}},
	{"Requests", []panel{
		{
			title: "Requests by endpoint", description: "All requests, rejected ones included.", unit: "reqps", stacked: true,
			queries: []query{{`sum by (endpoint) (rate(` + decisions + `}` + perSecond, "{{endpoint}}"}},
		},
		{
			title: "Rejections by reason", description: "docs/troubleshooting.md explains each reason.", unit: "reqps", stacked: true,
			queries: []query{{`sum by (reason) (rate(` + decisions + `,reason!="allowed"}` + perSecond, "{{reason}}"}},
		},
		{
			title: "Duration", description: "From the request to the end of the response, streams included.", unit: "s",
			queries: []query{
				{quantile("0.5", "request_duration_seconds"), "p50"},
				{quantile("0.95", "request_duration_seconds"), "p95"},
				{quantile("0.99", "request_duration_seconds"), "p99"},
			},
		},
		{
			title: "Duration by endpoint, p95", description: "From the request to the end of the response, streams included.", unit: "s",
			queries: []query{{`histogram_quantile(0.95, sum by (le, endpoint) (rate(caddy_docsgate_request_duration_seconds_bucket{` + of + `}` + perSecond + `)`, "{{endpoint}}"}},
		},
		{
			title: "First event of streams", description: "From the request to the first event of the answer from DocsGPT.", unit: "s",
			queries: []query{
				{quantile("0.5", "time_to_first_event_seconds"), "p50"},
				{quantile("0.95", "time_to_first_event_seconds"), "p95"},
			},
		},
		{
			title: "Streams", description: "Duration of streamed responses.", unit: "s",
			queries: []query{
				{quantile("0.5", "stream_duration_seconds"), "p50"},
				{quantile("0.95", "stream_duration_seconds"), "p95"},
			},
		},
		{
			title: "Bytes", description: "Bodies of requests that were passed on, and of responses.", unit: "Bps",
			queries: []query{
				{`sum(rate(caddy_docsgate_received_bytes_total{` + of + `}` + perSecond, "received"},
				{`sum(rate(caddy_docsgate_sent_bytes_total{` + of + `}` + perSecond, "sent"},
			},
		},
		{
			title: "In flight", description: "Requests that the gates have forwarded, abandoned answers included, and open streams.", stacked: true,
			queries: []query{{`sum by (class) (caddy_docsgate_requests_in_flight{` + of + `})`, "{{class}}"}},
		},
		{
			title: "Aborted requests", description: "Responses that did not reach their end.", unit: "reqps", stacked: true,
			queries: []query{{`sum by (reason) (rate(caddy_docsgate_aborted_requests_total{` + of + `}` + perSecond, "{{reason}}"}},
		},
	}},
	{"DocsGPT", []panel{
		{
			title: "Failures", description: "Requests that DocsGPT does not answer, by the code that the client gets.", unit: "reqps", stacked: true,
			queries: []query{{`sum by (code) (rate(caddy_docsgate_upstream_failures_total{` + of + `}` + perSecond, "{{code}}"}},
		},
		{
			title: "Queue", description: "Requests that wait for a free place in front of DocsGPT.", stacked: true,
			queries: []query{{`sum by (class) (caddy_docsgate_requests_waiting{` + of + `})`, "{{class}}"}},
		},
		{
			title: "Wait in the queue", description: "Of requests that had to wait, rejected ones included.", unit: "s",
			queries: []query{
				{quantile("0.5", "queue_duration_seconds"), "p50"},
				{quantile("0.95", "queue_duration_seconds"), "p95"},
			},
		},
		{
			title: "Rejections of the queue", description: "DocsGPT does not keep up, or one client takes more than its share.", unit: "reqps", stacked: true,
			queries: []query{{`sum by (reason) (rate(caddy_docsgate_queue_rejections_total{` + of + `}` + perSecond, "{{reason}}"}},
		},
		{
			title: "Abandoned answers", description: "Answers that no client reads any longer, by what DocsGPT responded to their cancellation.", unit: "reqps", stacked: true,
			queries: []query{{`sum by (result) (rate(caddy_docsgate_cancelled_answers_total{` + of + `}` + perSecond, "{{result}}"}},
		},
		{
			title: "Tokens of answers", description: "Of keys with quotas, by the source of the number. Estimates are not exact.", stacked: true,
			queries: []query{{`sum by (source) (rate(caddy_docsgate_tokens_settled_total{` + of + `}` + perSecond, "{{source}}"}},
		},
	}},
	{"Keys", []panel{
		{
			title: "Keys by state", description: "Unusable keys have an invalid binding or policy: docsgate keys list --state unusable.", stacked: true,
			queries: []query{{`max by (state) (caddy_docsgate_keys{` + of + `})`, "{{state}}"}},
		},
		{
			title: "Feeds", description: "1: the last load succeeded. 0: it failed, and the previous keys stay in use.",
			queries: []query{{`min by (feed, instance) (caddy_docsgate_feed_up{` + of + `})`, "{{feed}} {{instance}}"}},
		},
		{
			title: "Cache", description: "Lookups of tokens that the cache answers.", unit: "percentunit",
			queries: []query{{`sum(rate(caddy_docsgate_cache_lookups_total{` + of + `,result!="miss"}` + perSecond + ` / sum(rate(caddy_docsgate_cache_lookups_total{` + of + `}` + perSecond, "hits"}},
		},
		{
			title: "Verification", description: "Time to verify a token.", unit: "s",
			queries: []query{
				{quantile("0.5", "verify_duration_seconds"), "p50"},
				{quantile("0.99", "verify_duration_seconds"), "p99"},
			},
		},
		{
			title: "Leaked keys", description: "Secret keys that were used in a page.",
			queries: []query{{`sum(increase(caddy_docsgate_leaked_keys_total{` + of + `}` + perSecond, "keys"}},
		},
		{
			title: "Audit trail", description: "Changes of keys, and other entries, by action.", stacked: true,
			queries: []query{{`sum by (action) (increase(caddy_docsgate_audit_entries_total{` + of + `}` + perSecond, "{{action}}"}},
		},
		{
			title: "Lost data", description: "Quotas and usage that could not be saved, changes that could not be stored, and writes that the database " +
				"of the key store has lost.",
			queries: []query{
				{`sum(increase(caddy_docsgate_usage_save_failures_total{` + of + `}` + perSecond, "failed saves of usage"},
				{`sum(increase(caddy_docsgate_usage_dropped_requests_total{` + of + `}` + perSecond, "requests missing in usage"},
				{`sum(increase(caddy_docsgate_audit_write_failures_total{` + of + `}` + perSecond, "changes not stored"},
				{`sum(increase(caddy_docsgate_quota_save_failures_total{` + of + `}` + perSecond, "failed saves of quotas"},
				{`sum(increase(caddy_docsgate_store_lost_writes_total{` + of + `}` + perSecond, "lost writes"},
			},
		},
	}},
	{"Limits of several gates", []panel{
		{
			title: "Redis", description: "1: limits are shared. 0: the gate applies its share of each limit.",
			queries: []query{{`caddy_docsgate_shared_limits_up{` + of + `}`, "{{instance}}"}},
		},
		{
			title: "Commands to Redis", description: "Duration, failed ones included.", unit: "s",
			queries: []query{
				{quantile("0.5", "shared_limits_duration_seconds"), "p50"},
				{quantile("0.99", "shared_limits_duration_seconds"), "p99"},
			},
		},
		{
			title: "Live gates", description: "Gates that share their limits.",
			queries: []query{{`max(caddy_docsgate_shared_limits_gates{` + of + `})`, "gates"}},
		},
	}},
	{"Process", []panel{
		{
			title: "CPU", description: "Cores in use.",
			queries: []query{{`rate(process_cpu_seconds_total{` + of + `}[$__rate_interval])`, "{{instance}}"}},
		},
		{
			title: "Memory", description: "Resident memory.", unit: "bytes",
			queries: []query{{`process_resident_memory_bytes{` + of + `}`, "{{instance}}"}},
		},
		{
			title: "Goroutines", description: "About three for each open stream.",
			queries: []query{{`go_goroutines{` + of + `}`, "{{instance}}"}},
		},
	}},
}

// quantile returns the expression for a quantile of a histogram over all selected gates.
func quantile(q, name string) string {
	return `histogram_quantile(` + q + `, sum by (le) (rate(caddy_docsgate_` + name + `_bucket{` + of + `}` + perSecond + `)`
}
