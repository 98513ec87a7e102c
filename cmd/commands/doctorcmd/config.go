package doctorcmd

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/policy"
)

// deployment holds the parts of a Caddy configuration that the doctor checks.
type deployment struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Logging struct {
		Logs map[string]*configLog `json:"logs"`
	} `json:"logging"`
	Apps struct {
		HTTP struct {
			HTTPPort  int                      `json:"http_port"`
			HTTPSPort int                      `json:"https_port"`
			Servers   map[string]*configServer `json:"servers"`
		} `json:"http"`
		Docsgate struct {
			configBackend
			SharedPort bool                     `json:"shared_port"`
			Backends   map[string]configBackend `json:"backends"`
		} `json:"docsgate"`
	} `json:"apps"`
}

// configBackend are the options of a backend.
type configBackend struct {
	Feeds   []json.RawMessage `json:"feeds"`
	DocsGPT string            `json:"docsgpt_version"`
	Token   string            `json:"upstream_token"`
	Tools   string            `json:"upstream_tools"`
}

func (b *configBackend) backend() doctor.Backend {
	result := doctor.Backend{Version: b.DocsGPT, Credential: doctor.Credential{Tools: b.Tools}}
	if token := strings.TrimRight(replaced(b.Token), "\r\n"); !strings.ContainsAny(token, "{}") {
		result.Credential.Token = token
	}
	return result
}

type configServer struct {
	Listen      []string                    `json:"listen"`
	Routes      caddyhttp.RouteList         `json:"routes"`
	Errors      caddyhttp.HTTPErrorConfig   `json:"errors"`
	NamedRoutes map[string]*caddyhttp.Route `json:"named_routes"`
	TLS         []json.RawMessage           `json:"tls_connection_policies"`
	AutoHTTPS   caddyhttp.AutoHTTPSConfig   `json:"automatic_https"`

	WriteTimeout   caddy.Duration  `json:"write_timeout"`
	TrustedProxies json.RawMessage `json:"trusted_proxies"`

	Logs *struct {
		Default     string                     `json:"default_logger_name"`
		Names       map[string]json.RawMessage `json:"logger_names"`
		Credentials bool                       `json:"should_log_credentials"`
		Trace       bool                       `json:"trace"`
	} `json:"logs"`
}

// configHandler has the fields of all handlers that the doctor checks, except for nested routes.
type configHandler struct {
	configRewrite // rewrite

	Handler   string             `json:"handler"`
	Upstream  string             `json:"upstream"`       // docsgate
	Backend   string             `json:"backend"`        // docsgate
	Endpoints []string           `json:"endpoints"`      // docsgate
	TLS       *configUpstreamTLS `json:"tls"`            // docsgate
	Limits    json.RawMessage    `json:"limits"`         // docsgate
	DryRun    []string           `json:"limits_dry_run"` // docsgate
	Queue     *int               `json:"queue"`          // docsgate

	ResponseHeaderTimeout caddy.Duration `json:"response_header_timeout"` // docsgate
	StreamIdleTimeout     caddy.Duration `json:"stream_idle_timeout"`     // docsgate

	AdminToken string     `json:"admin_token"` // docsgate_console
	Upstreams  []struct { // reverse_proxy
		Dial string `json:"dial"`
	} `json:"upstreams"`
	Transport struct {
		ResponseHeaderTimeout caddy.Duration `json:"response_header_timeout"`
		ReadTimeout           caddy.Duration `json:"read_timeout"`

		TLS *struct {
			Insecure bool `json:"insecure_skip_verify"`
		} `json:"tls"`
	} `json:"transport"`
	Rewrite struct {
		Method string `json:"method"`
	} `json:"rewrite"`
}

type configRewrite struct {
	URI             string            `json:"uri"`
	StripPathPrefix string            `json:"strip_path_prefix"`
	StripPathSuffix string            `json:"strip_path_suffix"`
	URISubstring    []json.RawMessage `json:"uri_substring"`
	PathRegexp      []json.RawMessage `json:"path_regexp"`
}

type configUpstreamTLS struct {
	CA struct {
		Provider string   `json:"provider"`
		PEMFiles []string `json:"pem_files"`
	} `json:"ca"`
	ServerName      string `json:"server_name"`
	CertificateFile string `json:"client_certificate_file"`
	KeyFile         string `json:"client_certificate_key_file"`
	Insecure        bool   `json:"insecure_skip_verify"`
}

func parseDeployment(config []byte) (*deployment, error) {
	d := new(deployment)
	if err := json.Unmarshal(config, d); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	return d, nil
}

// handlers are the handlers that the doctor checks.
type handlers struct {
	gates    []doctor.Gate
	bypasses []doctor.Bypass
	consoles []doctor.Console
}

// handlers finds the handlers in the routes of all servers. tls says which servers use TLS; nil: the configuration
// does not load.
func (d *deployment) handlers(tls map[string]bool) (all handlers) {
	for _, name := range slices.Sorted(maps.Keys(d.Apps.HTTP.Servers)) {
		server := d.Apps.HTTP.Servers[name]
		site := doctor.Site{Listen: make([]string, len(server.Listen)), WriteTimeout: time.Duration(server.WriteTimeout)}
		for i, listen := range server.Listen {
			site.Listen[i] = replaced(listen)
		}
		if tls != nil {
			site.TLS = doctor.KnownBool(tls[name])
		} else {
			site.TLS = doctor.KnownBool(server.usesTLS(cmp.Or(d.Apps.HTTP.HTTPPort, caddyhttp.DefaultHTTPPort),
				cmp.Or(d.Apps.HTTP.HTTPSPort, caddyhttp.DefaultHTTPSPort)))
		}
		site.CatchAll = server.catchesAll()
		w := routeWalker{server: server, left: maxRoutes, anyClient: !matchesClients(server)}
		w.routes(server.Routes, routeContext{site: site})
		w.routes(server.Errors.Routes, routeContext{site: site})
		all.gates = append(all.gates, w.gates...)
		all.bypasses = append(all.bypasses, w.bypasses...)
		all.consoles = append(all.consoles, w.consoles...)
	}
	return all
}

// catchesAll reports whether a server responds to requests for any host name.
func (s *configServer) catchesAll() bool {
	return slices.ContainsFunc(s.Routes, func(r caddyhttp.Route) bool {
		return len(r.HandlersRaw) > 0 && (len(r.MatcherSetsRaw) == 0 || slices.ContainsFunc(r.MatcherSetsRaw, func(set caddy.ModuleMap) bool {
			return len(set) == 0
		}))
	})
}

// usesTLS reports whether a server uses TLS, by the rules of Caddy's automatic HTTPS.
func (s *configServer) usesTLS(httpPort, httpsPort int) bool {
	if len(s.TLS) > 0 {
		return true
	}
	if s.AutoHTTPS.Disabled || s.listensOnlyOn(httpPort) {
		return false
	}
	if s.listensOnlyOn(httpsPort) {
		return true
	}
	for _, r := range s.Routes {
		for _, set := range r.MatcherSetsRaw {
			var hosts []string
			if json.Unmarshal(set["host"], &hosts) != nil {
				continue
			}
			for _, host := range hosts {
				if !slices.Contains(s.AutoHTTPS.Skip, replaced(host)) {
					return true
				}
			}
		}
	}
	return false
}

// listensOnlyOn reports whether all listener addresses of a server have this port.
func (s *configServer) listensOnlyOn(port int) bool {
	for _, listen := range s.Listen {
		address, err := caddy.ParseNetworkAddress(replaced(listen))
		if err != nil || address.IsUnixNetwork() || address.StartPort != uint(port) || address.EndPort != uint(port) {
			return false
		}
	}
	return len(s.Listen) > 0
}

// matchesClients reports whether a server matches client addresses. Requests from this machine then show nothing about other
// clients.
func matchesClients(server *configServer) bool {
	text, err := json.Marshal(server)
	return err != nil || bytes.Contains(text, []byte("remote_ip")) || bytes.Contains(text, []byte("client_ip"))
}

// settings returns the TLS settings that the gate uses, without files that cannot be read; nil for the defaults.
func (t *configUpstreamTLS) settings() *tls.Config {
	if t == nil {
		return nil
	}
	c := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure} //nolint:gosec // as configured
	for _, file := range t.CA.PEMFiles {
		if pem, err := os.ReadFile(file); err == nil {
			if c.RootCAs == nil {
				c.RootCAs = x509.NewCertPool()
			}
			c.RootCAs.AppendCertsFromPEM(pem)
		}
	}
	if t.CertificateFile != "" {
		if certificate, err := tls.LoadX509KeyPair(t.CertificateFile, t.KeyFile); err == nil {
			c.Certificates = []tls.Certificate{certificate}
		}
	}
	return c
}

// limitsTokens reports whether a docsgate handler limits the tokens of keys.
func (h *configHandler) limitsTokens() bool {
	var limits policy.Limits
	return h.Limits != nil && json.Unmarshal(h.Limits, &limits) == nil && limits.TokensPerDay.Count() > 0
}

// visitorLimits returns whether a docsgate handler limits the requests of visitors.
func (h *configHandler) visitorLimits() doctor.VisitorLimits {
	var limits policy.Limits
	if h.Limits != nil && json.Unmarshal(h.Limits, &limits) != nil {
		return 0 // the configuration does not load
	}
	defaults := policy.DefaultLimits()
	limits = limits.Or(&defaults)
	switch {
	case limits.VisitorRequests.Rate().IsZero():
		return doctor.VisitorLimitsOff
	case slices.Contains(h.DryRun, "visitor_requests"):
		return doctor.VisitorLimitsDryRun
	default:
		return 0
	}
}
