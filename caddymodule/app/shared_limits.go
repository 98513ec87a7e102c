package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/keys/quota/sharedquota"
	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/ratelimit/sharedrate"
	"github.com/docsgate/docsgate/sharedlimits"
)

// SharedLimits is the Redis or Valkey through which several gates share their limits.
//
//	shared_limits <address> {
//		prefix <text>
//		timeout <duration>
//		insecure_plaintext
//	}
type SharedLimits struct {
	// The address: redis://host:6379, or rediss:// for TLS; with all hosts of a Redis Cluster separated by commas, or with
	// those of Sentinels and ?master_name=NAME. It must not contain a password, unless the value is one placeholder,
	// {env.NAME} or {file.PATH}. Required.
	Address string `json:"address,omitempty"`

	// The beginning of all keys in Redis. Gates that share their limits have the same. Default: docsgate.
	Prefix string `json:"prefix,omitempty"`

	// The timeout of a decision, from 10ms to 5s. After a timeout this gate decides alone until Redis is available again.
	// Default: 100ms.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Allow unencrypted connections to another machine: one whose host is not a loopback IP address or "localhost".
	// Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	poolKey string
	shared  *sharedConn
	options sharedlimits.Options
}

// Bounds of SharedLimits.Timeout.
const (
	minSharedTimeout = 10 * time.Millisecond
	maxSharedTimeout = 5 * time.Second
)

// sharedConns holds the connections by everything that they depend on, since two configurations share one during a reload.
var sharedConns = caddy.NewUsagePool()

// sharedConn is a connection, and what counts through it.
type sharedConn struct {
	*sharedlimits.Conn
	logger atomic.Pointer[slog.Logger] // of the newest configuration

	mu     sync.Mutex // guards the maps, which are by backend
	rates  map[string]*sharedrate.Limiter
	quotas map[string]*sharedquota.Limiter
}

// Destruct implements caddy.Destructor.
func (c *sharedConn) Destruct() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.rates {
		l.Close()
	}
	for _, l := range c.quotas {
		l.Close()
	}
	return c.Close()
}

// unmarshalSharedLimits parses "shared_limits <address> { ... }".
func (a *App) unmarshalSharedLimits(d *caddyfile.Dispenser) error {
	if a.SharedLimits != nil {
		return caddyfileutil.AlreadySpecified(d)
	}
	s := &SharedLimits{}
	a.SharedLimits = s
	if !d.AllArgs(&s.Address) {
		return d.ArgErr()
	}
	if err := s.checkPassword(); err != nil {
		return d.WrapErr(fmt.Errorf("shared_limits: %w", err))
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "prefix":
			if err = caddyfileutil.Text(d, &s.Prefix); err == nil {
				err = caddyfileutil.WrapErr(d, sharedlimits.CheckPrefix(s.Prefix))
			}
		case "timeout":
			if s.Timeout != 0 {
				return caddyfileutil.AlreadySpecified(d)
			}
			if err = caddyfileutil.Duration(d, &s.Timeout, "100ms"); err == nil {
				err = caddyfileutil.WrapErr(d, s.checkTimeout())
			}
		case "insecure_plaintext":
			err = caddyfileutil.Flag(d, &s.InsecurePlaintext)
		default:
			err = caddyfileutil.Unrecognized(d, "prefix", "timeout", "insecure_plaintext")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPassword returns an error if the address contains a password. The error does not contain the address.
func (s *SharedLimits) checkPassword() error {
	if _, ok := placeholder.Parse(s.Address); ok {
		return nil
	}
	if i := strings.LastIndexByte(s.Address, '@'); i >= 0 {
		u, err := url.Parse(s.Address[:i] + "@host")
		if err != nil {
			return placeholder.ErrPlaintext
		}
		if _, has := u.User.Password(); has {
			return placeholder.ErrPlaintext
		}
	}
	_, err := sharedlimits.ParseAddress(s.Address, true)
	return err
}

func (s *SharedLimits) checkTimeout() error {
	if t := time.Duration(s.Timeout); t != 0 && (t < minSharedTimeout || t > maxSharedTimeout) {
		return fmt.Errorf("timeout must be a duration from %s to %s", minSharedTimeout, maxSharedTimeout)
	}
	return nil
}

// provision creates the connection, or shares it with a previous configuration. It does not connect, since an unavailable server is not
// an error.
func (s *SharedLimits) provision(ctx caddy.Context) error {
	if s.Address == "" {
		return errors.New("shared_limits: the address must not be empty")
	}
	text := s.Address
	err := errors.Join(s.checkPassword(), s.checkTimeout())
	if _, ok := placeholder.Parse(text); ok && err == nil {
		text, err = placeholder.Secret(text)
	}
	if err != nil {
		return fmt.Errorf("shared_limits: %w", err)
	}
	address, err := sharedlimits.ParseAddress(text, s.InsecurePlaintext)
	if err != nil {
		return fmt.Errorf("shared_limits: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %t", text, s.Prefix, s.Timeout, s.InsecurePlaintext))
	key := hex.EncodeToString(sum[:])
	s.options = sharedlimits.Options{Address: address, Prefix: s.Prefix, Timeout: time.Duration(s.Timeout)}
	value, _, err := sharedConns.LoadOrNew(key, func() (caddy.Destructor, error) {
		c := &sharedConn{rates: map[string]*sharedrate.Limiter{}, quotas: map[string]*sharedquota.Limiter{}}
		c.logger.Store(ctx.Slogger())
		options := s.options
		options.NodesFile, options.Observer, options.Logger = filepath.Join(dataDir(""), "gates"), sharedObserver{}, c.logger.Load
		var err error
		c.Conn, err = sharedlimits.New(options)
		return c, err
	})
	if err != nil {
		return fmt.Errorf("shared_limits: %w", err)
	}
	s.poolKey, s.shared = key, value.(*sharedConn)
	warnOfConnection(ctx.Logger(), "", "the server of shared_limits", "change all limits", address.Connection)
	return RegisterMetrics(ctx.GetMetricsRegistry(), sharedFallbacks, sharedSeconds, sharedCollector{s.shared.Conn})
}

// start connects in the background, once.
func (s *SharedLimits) start(ctx caddy.Context) {
	s.shared.logger.Store(ctx.Slogger())
	s.shared.Start()
}

// cleanup releases the connection.
func (s *SharedLimits) cleanup() error {
	if s == nil || s.shared == nil {
		return nil
	}
	_, err := sharedConns.Delete(s.poolKey)
	return err
}

// SharedRates returns the limiter that the backend shares with other gates, or nil without the option shared_limits. While the server is
// unavailable it decides by local. It must be called while a handler is provisioned.
func (b *Backend) SharedRates(local *ratelimit.Limiter) *sharedrate.Limiter {
	if b.app.SharedLimits == nil {
		return nil
	}
	c := b.app.SharedLimits.shared
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.rates[b.name]
	if l == nil {
		l = sharedrate.New(c.Conn, b.name, local)
		c.rates[b.name] = l
	}
	return l
}

// SharedQuotas returns the limiter of questions that the backend shares with other gates, or nil without the option shared_limits. It must be
// called while a handler is provisioned.
func (b *Backend) SharedQuotas() *sharedquota.Limiter {
	if b.app.SharedLimits == nil {
		return nil
	}
	c := b.app.SharedLimits.shared
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.quotas[b.name]
	if l == nil {
		l = sharedquota.New(c.Conn, b.name, b.counters.Quotas)
		c.quotas[b.name] = l
	}
	return l
}

var (
	sharedFallbacks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "shared_limits_fallbacks_total",
		Help: "Decisions that this gate has made by its share of a limit, since the server of shared_limits was unavailable, by limit.",
	}, []string{"limit"})

	sharedSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "shared_limits_duration_seconds",
		Help:    "Duration of commands to the server of shared_limits, including those that failed.",
		Buckets: []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, .1, .25, 1},
	})

	descSharedUp    = describe("shared_limits_up", "1 if limits are shared with other gates; 0 while this gate applies its share of each limit.")
	descSharedGates = describe("shared_limits_gates", "Live gates that share their limits, with this one; the last known number while shared_limits_up is 0.")
)

// sharedObserver counts for the metrics.
type sharedObserver struct{}

// RoundTrip implements sharedlimits.Observer.
func (sharedObserver) RoundTrip(d time.Duration) { sharedSeconds.Observe(d.Seconds()) }

// Fallback implements sharedlimits.Observer.
func (sharedObserver) Fallback(limit string) { sharedFallbacks.WithLabelValues(limit).Inc() }

// sharedCollector collects the metrics of a connection.
type sharedCollector struct{ *sharedlimits.Conn }

// Describe implements prometheus.Collector.
func (c sharedCollector) Describe(out chan<- *prometheus.Desc) {
	out <- descSharedUp
	out <- descSharedGates
}

// Collect implements prometheus.Collector.
func (c sharedCollector) Collect(out chan<- prometheus.Metric) {
	up := 0.0
	if c.Available() {
		up = 1
	}
	out <- prometheus.MustNewConstMetric(descSharedUp, prometheus.GaugeValue, up)
	out <- prometheus.MustNewConstMetric(descSharedGates, prometheus.GaugeValue, float64(c.Nodes()))
}
