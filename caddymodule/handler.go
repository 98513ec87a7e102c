package caddymodule

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/upstream"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// DefaultMaxBody is the largest request body that is read by default, in bytes. Long conversations of widgets, which
// delayedFlush their whole history with each question, come near a megabyte.
const DefaultMaxBody = 4 << 20

// Handler is the gate: it lets requests through to DocsGPT that carry a valid key, bound to that key's source, and
// answers all others itself, in a form that their clients can show.
type Handler struct {
	// Where DocsGPT is: host:port, a URL with http or https, or unix//path/of/socket. Placeholders are replaced when
	// the configuration is loaded. Without it the next handler gets the rewritten request.
	Upstream string `json:"upstream,omitempty"`

	// The endpoint groups that are open: widget, openai, mcp, attachments, artifacts, speech, health. Default: widget.
	Endpoints []string `json:"endpoints,omitempty"`

	// Names of further body members to let through to DocsGPT, such as attachments or passthrough; "message_parts"
	// lets images and files through that are in messages. Those that would let a client leave its key's source are
	// refused.
	AllowedFields []string `json:"allow_fields,omitempty"`

	// The largest request body, in bytes. Default: 4 MiB.
	MaxBody int64 `json:"max_body_size,omitempty"`

	// The largest upload, in bytes: a form with its files. Default: 100 MiB. Uploads over 256 KiB are written to the
	// system's folder for temporary files while they come in.
	MaxUpload int64 `json:"max_upload_size,omitempty"`

	RequestLimits

	// How many requests for answers may be in flight at this DocsGPT, over all keys; streams are in flight until they
	// end. Default: 64, two thirds of the threads of a DocsGPT 0.19 or newer. Requests that are short have a share of
	// their own, which follows from this: see docs/configuration.md.
	MaxInFlight int `json:"max_in_flight,omitempty"`

	// How many of these may be of one key; not more than max_in_flight. Default: 16, or max_in_flight where that is
	// lower.
	MaxInFlightPerKey int `json:"max_in_flight_per_key,omitempty"`

	// How long connecting to DocsGPT may take. Default: 5s. This and the following are for the gate's own
	// forwarding: with the next handler, its settings count.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long DocsGPT may take to begin an answer. Default: 10m, since models think for minutes.
	ResponseHeaderTimeout caddy.Duration `json:"response_header_timeout,omitempty"`

	// How long a begun answer may be silent. Default: 5m.
	IdleTimeout caddy.Duration `json:"stream_idle_timeout,omitempty"`

	// How long an unused connection to DocsGPT is kept. Default: 4s, just below what DocsGPT's server keeps it.
	IdleConnTimeout caddy.Duration `json:"keepalive,omitempty"`

	// How long writing to a client may be blocked by it, in all, beyond what client_min_rate allows. Pauses of
	// DocsGPT never count. Default: 30s.
	ClientWriteTimeout caddy.Duration `json:"client_write_timeout,omitempty"`

	// How fast a client that blocks writing must read, in bytes per second. Default: 1024.
	ClientMinRate int64 `json:"client_min_rate,omitempty"`

	// TLS with an upstream whose address begins with https, as in reverse_proxy's http transport. handshake_timeout,
	// renegotiation, except_ports and curves are accepted as well; dial_timeout also limits the handshake.
	TLS *reverseproxy.TLSConfig `json:"tls,omitempty"`

	app      *App
	routes   *docsgpt.Routes
	upstream *upstream.Upstream
	logger   *zap.Logger
	trouble  *logSampler
	meters   map[string]endpointMetrics
	inFlight inFlightLimits
}

// endpointMetrics are the metrics of one endpoint, looked up once.
type endpointMetrics struct {
	allowed  prometheus.Counter
	duration prometheus.Observer
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.docsgate", New: func() caddy.Module { return new(Handler) }}
}

// Provision checks the settings and makes the connection pool; nothing is connected yet.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger, h.trouble = ctx.Logger(), new(logSampler)
	app, err := ctx.App("docsgate")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if len(h.Endpoints) == 0 {
		h.Endpoints = []string{string(docsgpt.GroupWidget)}
	}
	if h.MaxBody == 0 {
		h.MaxBody = DefaultMaxBody
	}
	if h.MaxUpload == 0 {
		h.MaxUpload = DefaultMaxUpload
	}
	h.app.largest.add(h)
	if h.ClientWriteTimeout == 0 {
		h.ClientWriteTimeout = caddy.Duration(DefaultClientWriteTimeout)
	}
	if h.ClientMinRate == 0 {
		h.ClientMinRate = DefaultClientMinRate
	}
	h.inFlight.provision(h.MaxInFlight, h.MaxInFlightPerKey)
	if h.Upstream != "" {
		var address string
		if h.upstream, address, err = h.newUpstream(ctx); err != nil {
			return err
		}
		if err := h.app.resolveVersion(h.upstream, address); err != nil {
			return err
		}
		h.app.gates = append(h.app.gates, h)
	}
	keepConns(ctx)
	return h.app.onVersionResolved(h.provisionRoutes)
}

// provisionRoutes collects the endpoints, which depend on the version of DocsGPT.
func (h *Handler) provisionRoutes() error {
	groups := make([]docsgpt.Group, len(h.Endpoints))
	for i, name := range h.Endpoints {
		groups[i] = docsgpt.Group(name)
	}
	routes, err := docsgpt.NewRoutes(h.app.version, groups, h.AllowedFields)
	if err != nil {
		return err
	}
	routes.SetLimits(h.limits())
	h.routes, h.meters = routes, map[string]endpointMetrics{"none": newMeters("none")}
	for _, e := range h.routes.Endpoints() {
		h.meters[e.Name] = newMeters(e.Name)
	}
	return nil
}

func newMeters(endpoint string) endpointMetrics {
	return endpointMetrics{decisions.WithLabelValues(endpoint, "allowed"), requestSeconds.WithLabelValues(endpoint)}
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
		return nil, "", fmt.Errorf("upstream %q: the TLS settings are only for an address that begins with https", text)
	}
	h.inFlight.upstream = address.String()
	settings, err := h.tlsConfig(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("upstream TLS: %w", err)
	}
	return upstream.New(upstream.Config{
		Address:               address,
		DialTimeout:           time.Duration(h.DialTimeout),
		ResponseHeaderTimeout: time.Duration(h.ResponseHeaderTimeout),
		IdleTimeout:           time.Duration(h.IdleTimeout),
		IdleConnTimeout:       time.Duration(h.IdleConnTimeout),
		TLS:                   settings,
	}), text, nil
}

// tlsConfig returns the settings for crypto/tls, or nil for the defaults.
func (h *Handler) tlsConfig(ctx caddy.Context) (*tls.Config, error) {
	if h.TLS == nil {
		return nil, nil //nolint:nilnil // nil is the default configuration
	}
	settings, err := h.TLS.MakeTLSClientConfig(ctx)
	if err == nil && settings != nil && settings.RootCAs != nil && settings.RootCAs.Equal(x509.NewCertPool()) {
		err = errors.New("tls_trust_pool has no certificate") // every handshake would fail
	}
	return settings, err
}

// Validate refuses settings that cannot be meant.
func (h *Handler) Validate() error {
	if h.MaxBody < 0 {
		return errors.New("max_body_size is negative")
	}
	if h.MaxUpload < 0 {
		return errors.New("max_upload_size is negative")
	}
	if err := h.limits().Validate(); err != nil {
		return err
	}
	if err := checkInFlight(h.MaxInFlight, h.MaxInFlightPerKey); err != nil {
		return err
	}
	if h.ClientMinRate < 0 {
		return errors.New("client_min_rate is negative")
	}
	for _, d := range []caddy.Duration{
		h.DialTimeout, h.ResponseHeaderTimeout, h.IdleTimeout, h.IdleConnTimeout, h.ClientWriteTimeout,
	} {
		if d < 0 {
			return errors.New("a time is negative")
		}
	}
	return nil
}

// Cleanup closes unused connections; requests under way go on.
func (h *Handler) Cleanup() error {
	if h.upstream != nil {
		h.upstream.Close()
	}
	return nil
}

// ServeHTTP takes a request through the gate.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.routes == nil { // requests may come in while a configuration is refused that has no version
		return caddyhttp.Error(http.StatusServiceUnavailable, errNoUpstream)
	}
	x := gatewayRequest{handler: h, r: r, next: next, begun: time.Now()}
	x.client.ResponseWriter = w
	x.w = &x.client
	x.serve()
	return nil
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
