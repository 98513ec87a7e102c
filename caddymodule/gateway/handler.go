package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/caddymodule/logsample"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys/quota/sharedquota"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/ratelimit/sharedrate"
	"github.com/docsgate/docsgate/upstream"
	"github.com/docsgate/docsgate/upstream/cancellation"
	"github.com/docsgate/docsgate/upstream/reachability"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// DefaultMaxBody is the default of Handler.MaxBodySize, in bytes. Widgets send the whole history with each question, which
// is close to a megabyte in long conversations.
const DefaultMaxBody = 4 << 20

// Handler is the gate. It forwards requests with a valid key to DocsGPT, restricted to the sources or the agent of the key.
// All other requests get an error response in the format of the endpoint.
type Handler struct {
	// The address of DocsGPT: host:port, an http or https URL, or unix//path/of/socket. Placeholders are replaced when
	// the configuration is loaded. If empty, the rewritten request is passed to the next handler.
	Upstream string `json:"upstream,omitempty"`

	// The name of the backend, of the field "backends" of the app, whose keys and credential apply. Default: the default backend.
	Backend string `json:"backend,omitempty"`

	// The endpoint groups to enable: widget, openai, mcp, attachments, artifacts, speech, health. Default: widget.
	Endpoints []string `json:"endpoints,omitempty"`

	// Additional body fields to forward to DocsGPT, such as attachments or passthrough; "message_parts" forwards images
	// and files in messages. Fields that would give access to data outside the key's binding are rejected. Default: none.
	AllowedFields []string `json:"allow_fields,omitempty"`

	// The maximum size of a request body, in bytes. Default: 4 MiB.
	MaxBodySize int64 `json:"max_body_size,omitempty"`

	// The maximum size of an upload, in bytes: a multipart form with its files. Uploads over 256 KiB are written to the
	// system's directory for temporary files. Default: 100 MiB.
	MaxUploadSize int64 `json:"max_upload_size,omitempty"`

	RequestLimits

	// The maximum number of requests for answers in flight at this DocsGPT, over all keys. A stream is in flight until it
	// ends. Short requests have a separate limit that is derived from this one: see docs/configuration.md. Default: 64,
	// two thirds of the threads of DocsGPT 0.19 and newer.
	MaxInFlight int `json:"max_in_flight,omitempty"`

	// The maximum number of requests for answers in flight per key, at most max_in_flight. Default: 16, or max_in_flight
	// if that is lower.
	MaxInFlightPerKey int `json:"max_in_flight_per_key,omitempty"`

	// The number of requests for answers that wait for a free slot when one of these two limits is reached, over all keys. They wait
	// in turn: by key, and then by visitor. When the queue is full, the key and the visitor with most requests in it lose the newest
	// one. 0 rejects requests over the limits immediately. Default: 200.
	Queue *int `json:"queue,omitempty"`

	// How long a request waits in the queue. Default: 1m.
	QueueTimeout caddy.Duration `json:"queue_timeout,omitempty"`

	// The timeout for connecting to DocsGPT. This field, the following timeouts of the upstream and tls have no effect if
	// the next handler forwards. Default: 5s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long to wait for the response header of DocsGPT. Default: 10m, since models may think for minutes.
	ResponseHeaderTimeout caddy.Duration `json:"response_header_timeout,omitempty"`

	// How long to wait for the next byte of a started response. Default: 5m.
	StreamIdleTimeout caddy.Duration `json:"stream_idle_timeout,omitempty"`

	// How long to keep idle connections to DocsGPT open. Default: 4s, just below the keep-alive timeout of DocsGPT's server.
	IdleConnTimeout caddy.Duration `json:"keepalive,omitempty"`

	// The longest silence in a stream to a client: then the gate sends a blank line to widgets, or a comment to other clients,
	// since proxies close silent responses. 0 disables it. Default: 15s.
	SSEKeepalive *caddy.Duration `json:"sse_keepalive,omitempty"`

	// How long a client may block writes in total, beyond what client_min_rate allows. Time spent waiting for DocsGPT
	// does not count. Default: 30s.
	ClientWriteTimeout caddy.Duration `json:"client_write_timeout,omitempty"`

	// The minimum rate at which a client that blocks writes must read, in bytes per second. Default: 1024.
	ClientMinRate int64 `json:"client_min_rate,omitempty"`

	// TLS settings for an https upstream, as in reverse_proxy's http transport, including handshake_timeout,
	// renegotiation, except_ports and curves. dial_timeout also limits the handshake.
	TLS *reverseproxy.TLSConfig `json:"tls,omitempty"`

	// The limits of keys that do not set them. Default: 300 requests per minute and 8 answers in flight per visitor, except for
	// secret keys. Fields that are not set have their default; "off" removes one.
	Limits *policy.Limits `json:"limits,omitempty"`

	// The sentence in the errors of limits, for keys that do not set it: one line of at most 300 characters, in which {wait} and
	// {wait_short} are replaced by the time until the client may try again, such as "20 seconds" and "20 s". Default: a sentence in
	// English for each limit.
	LimitMessage policy.LimitMessage `json:"limit_message,omitempty"`

	// The number of unknown tokens that a client address may present in a time, such as "60/1m", or "off". Over the limit, the gate
	// rejects tokens that are not in its cache of recently used keys. Default: 60/1m.
	FailedTokens string `json:"failed_tokens,omitempty"`

	// Whether to record the web origins that keys are used on, so that they can become the origins of the key. At most 50 origins
	// per key and 10,000 in all are recorded, in memory. Default: false.
	LearnOrigins bool `json:"learn_origins,omitempty"`

	// The names of limits that only count what they would have rejected, those of keys included. Default: none.
	LimitsDryRun []string `json:"limits_dry_run,omitempty"`

	app          *app.App
	backend      *app.Backend
	state        *BackendState
	shared       *sharedrate.Limiter  // nil: limits are not shared with other gates
	sharedQuotas *sharedquota.Limiter // the same
	routes       *docsgpt.Routes
	upstream     *upstream.Upstream
	logger       *zap.Logger
	sampler      *logsample.Sampler
	rejections   *logsample.Sampler // of rejected requests, which must not suppress other lines
	inFlight     inFlightLimits
	reachable    *reachability.Monitor

	cancelTarget *cancellation.Target // of abandoned answers

	server []attribute.KeyValue // the upstream, in traces; nil: the next handler knows it

	siteLimits   policy.Limits // with the defaults
	secretLimits policy.Limits // of secret keys: without the defaults
	failedTokens ratelimit.Rate

	endpoints map[*docsgpt.Endpoint]*endpoint // of routes
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.docsgate", New: func() caddy.Module { return new(Handler) }}
}

// Provision sets defaults and creates the connection pool. It opens no connection.
func (h *Handler) Provision(ctx caddy.Context) error {
	docsgate, err := ctx.App("docsgate")
	if err != nil {
		return err
	}
	h.app = docsgate.(*app.App)
	if h.backend, err = h.app.FindBackend(h.Backend); err != nil {
		return err
	}
	h.state, h.logger = StateOf(h.Backend), h.backend.Logger(ctx.Logger())
	h.sampler, h.rejections = new(logsample.Sampler), new(logsample.Sampler)
	h.shared, h.sharedQuotas = h.backend.SharedRates(h.state.Rates), h.backend.SharedQuotas()
	if err := app.RegisterMetrics(ctx.GetMetricsRegistry(), inFlightCollector{InFlight}, shareCollector{InFlightShares}); err != nil {
		return err
	}
	if err := h.backend.RegisterMetrics(h.state.collectors()...); err != nil {
		return err
	}
	if len(h.Endpoints) == 0 {
		h.Endpoints = []string{string(docsgpt.GroupWidget)}
	}
	if h.MaxBodySize == 0 {
		h.MaxBodySize = DefaultMaxBody
	}
	if h.MaxUploadSize == 0 {
		h.MaxUploadSize = DefaultMaxUpload
	}
	h.app.AddBodySizes(h.MaxBodySize, h.MaxUploadSize)
	if h.ClientWriteTimeout == 0 {
		h.ClientWriteTimeout = caddy.Duration(lifecycle.DefaultClientWriteTimeout)
	}
	if h.ClientMinRate == 0 {
		h.ClientMinRate = lifecycle.DefaultClientMinRate
	}
	if h.Limits != nil {
		h.secretLimits = *h.Limits
	}
	defaults := policy.DefaultLimits()
	h.siteLimits = h.secretLimits.Or(&defaults)
	if h.failedTokens, err = parseFailedTokens(h.FailedTokens); err != nil {
		return err
	}
	queue := DefaultQueue
	if h.Queue != nil {
		queue = *h.Queue
	}
	if h.QueueTimeout == 0 {
		h.QueueTimeout = caddy.Duration(DefaultQueueTimeout)
	}
	h.inFlight.provision(h.MaxInFlight, h.MaxInFlightPerKey, queue)
	h.inFlight.queueTimeout = time.Duration(h.QueueTimeout)
	if h.Backend != "" {
		h.inFlight.upstream = "backend " + h.Backend // if the next handler forwards: not to the upstreams of other backends
	}
	if h.Upstream != "" {
		var address string
		if h.upstream, address, err = h.newUpstream(ctx); err != nil {
			return err
		}
		if err := h.backend.ResolveVersion(h.upstream, address); err != nil {
			return err
		}
		h.backend.AddForwarder(app.Forwarder{Handler: h, Upstream: h.upstream, Groups: h.groups()})
	}
	h.app.OnShared(h.inFlight.join)
	h.provisionCancel()
	h.provisionHealth()
	lifecycle.KeepConns(ctx)
	h.app.CheckServer(ctx)
	return h.backend.OnVersionResolved(h.provisionRoutes)
}

// groups returns the endpoint groups that are enabled.
func (h *Handler) groups() []docsgpt.Group {
	groups := make([]docsgpt.Group, len(h.Endpoints))
	for i, name := range h.Endpoints {
		groups[i] = docsgpt.Group(name)
	}
	return groups
}

// provisionRoutes builds the routes, which depend on the version of DocsGPT.
func (h *Handler) provisionRoutes() error {
	routes, err := docsgpt.NewRoutes(h.backend.Version(), h.groups(), h.AllowedFields)
	if err != nil {
		return err
	}
	routes.SetLimits(h.limits())
	h.routes, h.endpoints = routes, map[*docsgpt.Endpoint]*endpoint{}
	for _, e := range h.routes.Endpoints() {
		h.endpoints[e] = newEndpoint(e, h.state.metrics)
	}
	return nil
}

// newUpstream returns the upstream, and its address with placeholders replaced.
func (h *Handler) newUpstream(ctx caddy.Context) (*upstream.Upstream, string, error) {
	text, err := caddy.NewReplacer().ReplaceOrErr(h.Upstream, true, true)
	if err != nil {
		return nil, "", fmt.Errorf("upstream: %w", err)
	}
	address, err := upstream.ParseAddress(text)
	if err != nil {
		return nil, "", err
	}
	if h.TLS != nil && address.URL.Scheme != "https" {
		return nil, "", fmt.Errorf("upstream %q: TLS settings need an address that begins with https://", text)
	}
	h.inFlight.upstream, h.server = address.String(), serverAttributes(address)
	settings, err := h.tlsConfig(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("upstream TLS: %w", err)
	}
	return upstream.New(upstream.Config{
		Address:               address,
		DialTimeout:           time.Duration(h.DialTimeout),
		ResponseHeaderTimeout: time.Duration(h.ResponseHeaderTimeout),
		IdleTimeout:           time.Duration(h.StreamIdleTimeout),
		IdleConnTimeout:       time.Duration(h.IdleConnTimeout),
		TLS:                   settings,
	}), text, nil
}

// tlsConfig returns the TLS configuration, or nil for the default one.
func (h *Handler) tlsConfig(ctx caddy.Context) (*tls.Config, error) {
	if h.TLS == nil {
		return nil, nil //nolint:nilnil // nil is the default configuration
	}
	settings, err := h.TLS.MakeTLSClientConfig(ctx)
	if err == nil && settings != nil && settings.RootCAs != nil && settings.RootCAs.Equal(x509.NewCertPool()) {
		err = errors.New("tls_trust_pool has no certificates") // every handshake would fail
	}
	return settings, err
}

// Validate implements caddy.Validator.
func (h *Handler) Validate() error {
	if h.MaxBodySize < 0 {
		return errors.New("max_body_size must not be negative")
	}
	if h.MaxUploadSize < 0 {
		return errors.New("max_upload_size must not be negative")
	}
	if err := h.limits().Validate(); err != nil {
		return err
	}
	if err := checkInFlight(h.MaxInFlight, h.MaxInFlightPerKey); err != nil {
		return err
	}
	if err := checkQueue(h.Queue, time.Duration(h.QueueTimeout)); err != nil {
		return err
	}
	if h.Limits != nil {
		if err := h.Limits.Validate(); err != nil {
			return fmt.Errorf("limits: %w", err)
		}
	}
	if err := h.LimitMessage.Validate(); err != nil {
		return err
	}
	for _, name := range h.LimitsDryRun {
		if !slices.Contains(dryRunNames(), name) {
			return fmt.Errorf("limits_dry_run: unknown limit %q", name)
		}
	}
	if err := checkSSEKeepalive(h.sseKeepalive()); err != nil {
		return err
	}
	if h.ClientMinRate < 0 {
		return errors.New("client_min_rate must not be negative")
	}
	for _, d := range []caddy.Duration{
		h.DialTimeout, h.ResponseHeaderTimeout, h.StreamIdleTimeout, h.IdleConnTimeout, h.ClientWriteTimeout,
	} {
		if d < 0 {
			return errors.New("timeouts must not be negative")
		}
	}
	return nil
}

// sseKeepalive returns the interval of keepalives, or 0.
func (h *Handler) sseKeepalive() time.Duration {
	if h.SSEKeepalive == nil {
		return DefaultSSEKeepalive
	}
	return time.Duration(*h.SSEKeepalive)
}

func checkSSEKeepalive(d time.Duration) error {
	if d != 0 && d < 100*time.Millisecond {
		return errors.New("sse_keepalive must be 0 or at least 100ms")
	}
	return nil
}

// Cleanup closes idle connections. Requests in flight continue.
func (h *Handler) Cleanup() error {
	if h.upstream != nil {
		h.upstream.Close()
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It writes all errors itself.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.routes == nil { // a request may arrive before a configuration without a version is rejected
		return caddyhttp.Error(http.StatusServiceUnavailable, app.ErrNoUpstream)
	}
	h.app.AwaitStart(r.Context())
	h.app.BeforeResponse(w)
	x := gatewayRequest{client: client{handler: h, r: r, started: time.Now()}}
	x.client.writer.ResponseWriter = w
	x.client.w = &x.client.writer
	x.client.responseValues, x.client.upstreamValues = x.client.responseMemory[:0], x.client.upstreamMemory[:0]
	x.serve(next)
	return nil
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
