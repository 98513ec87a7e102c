package commands

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/forward"
)

// deployment is what the doctor looks at in a configuration of Caddy.
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
			Servers map[string]*configServer `json:"servers"`
		} `json:"http"`
		Docsgate struct {
			Feeds   []json.RawMessage `json:"feeds"`
			DocsGPT string            `json:"docsgpt"`
		} `json:"docsgate"`
	} `json:"apps"`
}

type configServer struct {
	Listen []string      `json:"listen"`
	Routes []configRoute `json:"routes"`
	Errors struct {
		Routes []configRoute `json:"routes"`
	} `json:"errors"`
	NamedRoutes map[string]configRoute `json:"named_routes"`
	Logs        *struct {
		Default     string                     `json:"default_logger_name"`
		Names       map[string]json.RawMessage `json:"logger_names"`
		Credentials bool                       `json:"should_log_credentials"`
		Trace       bool                       `json:"trace"`
	} `json:"logs"`
}

type configRoute struct {
	Match  []map[string]json.RawMessage `json:"match"`
	Handle []json.RawMessage            `json:"handle"`
}

// configHandler has the members of all handlers that the doctor looks at.
type configHandler struct {
	Handler    string             `json:"handler"`
	Routes     []configRoute      `json:"routes"`      // subroute
	Name       string             `json:"name"`        // invoke
	Upstream   string             `json:"upstream"`    // docsgate
	Endpoints  []string           `json:"endpoints"`   // docsgate
	TLS        *configUpstreamTLS `json:"tls"`         // docsgate
	AdminToken string             `json:"admin_token"` // docsgate_console
	Upstreams  []struct {         // reverse_proxy
		Dial string `json:"dial"`
	} `json:"upstreams"`
	Transport struct {
		TLS *struct {
			Insecure bool `json:"insecure_skip_verify"`
		} `json:"tls"`
	} `json:"transport"`
}

type configUpstreamTLS struct {
	CAFile          string `json:"ca_file"`
	ServerName      string `json:"server_name"`
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	Insecure        bool   `json:"insecure_skip_verify"`
}

func parseDeployment(config []byte) (*deployment, error) {
	d := new(deployment)
	if err := json.Unmarshal(config, d); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	return d, nil
}

// handlers finds the gates and the consoles. tls tells which servers speak TLS; nil: not known.
func (d *deployment) handlers(tls map[string]bool) ([]doctor.Gate, []doctor.Console) {
	var gates []doctor.Gate
	var consoles []doctor.Console
	for _, name := range slices.Sorted(maps.Keys(d.Apps.HTTP.Servers)) {
		server := d.Apps.HTTP.Servers[name]
		site := doctor.Site{Listen: make([]string, len(server.Listen))}
		for i, listen := range server.Listen {
			site.Listen[i] = replaced(listen)
		}
		if tls != nil {
			site.TLS = doctor.KnownBool(tls[name])
		}
		f := finder{server: server, depth: 0}
		f.routes(server.Routes, spot{site: site})
		f.routes(server.Errors.Routes, spot{site: site})
		gates = append(gates, f.gates...)
		consoles = append(consoles, f.consoles...)
	}
	return gates, consoles
}

// spot is where in a server a handler stands.
type spot struct {
	site   doctor.Site
	partly bool // only some requests of the site come here
	auth   bool // an authentication handler was before
}

// finder walks the routes of a server, in the order in which requests take them.
type finder struct {
	server   *configServer
	depth    int // of routes in routes, which may invoke each other
	gates    []doctor.Gate
	consoles []doctor.Console
	waiting  []int // gates whose upstream is the next reverse_proxy's
}

func (f *finder) routes(list []configRoute, at spot) {
	for i := range list {
		at.auth = f.route(&list[i], at)
	}
}

// route returns whether what follows is behind authentication.
func (f *finder) route(r *configRoute, at spot) bool {
	behind := at.auth
	at = at.matched(r.Match)
	for _, raw := range r.Handle {
		var h configHandler
		if json.Unmarshal(raw, &h) != nil {
			continue // its members are of other types: none that is looked at
		}
		switch h.Handler {
		case "authentication":
			at.auth = true
		case "subroute":
			f.nested(h.Routes, at)
		case "invoke":
			if named, ok := f.server.NamedRoutes[h.Name]; ok {
				f.nested([]configRoute{named}, at)
			}
		case "docsgate":
			f.gate(&h, at)
		case "docsgate_console":
			f.consoles = append(f.consoles, doctor.Console{Site: at.site, Token: h.AdminToken != "", Auth: at.auth})
		case "reverse_proxy":
			f.forwards(&h)
		}
	}
	if len(r.Match) == 0 {
		behind = at.auth
	}
	return behind
}

// maxDepth bounds named routes that invoke themselves.
const maxDepth = 32

func (f *finder) nested(list []configRoute, at spot) {
	if f.depth < maxDepth {
		f.depth++
		f.routes(list, at)
		f.depth--
	}
}

// matched is the place behind a matcher: fewer hosts, or fewer requests.
func (p spot) matched(sets []map[string]json.RawMessage) spot {
	var hosts []string
	all := len(sets) > 0
	for _, set := range sets {
		var some []string
		if json.Unmarshal(set["host"], &some) != nil || len(some) == 0 {
			all = false
		}
		for _, h := range some {
			hosts = append(hosts, replaced(h))
		}
		for name := range set {
			p.partly = p.partly || name != "host"
		}
	}
	if all {
		p.site.Hosts = hosts
	}
	return p
}

func (f *finder) gate(h *configHandler, at spot) {
	g := doctor.Gate{Site: at.site, Endpoints: h.Endpoints, Partly: at.partly}
	if len(g.Endpoints) == 0 {
		g.Endpoints = []string{"widget"}
	}
	if f.server.Logs != nil {
		g.LogsCredentials, g.Traces = f.server.Logs.Credentials, f.server.Logs.Trace
	}
	if h.Upstream == "" {
		f.waiting = append(f.waiting, len(f.gates))
	} else if address, err := forward.ParseAddress(replaced(h.Upstream)); err == nil {
		g.Upstreams = []doctor.Upstream{{Address: address, TLS: h.TLS.settings()}}
	}
	f.gates = append(f.gates, g)
}

// forwards gives the gates before a reverse_proxy its upstreams.
func (f *finder) forwards(h *configHandler) {
	var all []doctor.Upstream
	for _, u := range h.Upstreams {
		dial, settings := replaced(u.Dial), (*tls.Config)(nil)
		if h.Transport.TLS != nil && !strings.HasPrefix(dial, "unix") {
			dial = "https://" + dial
			settings = &tls.Config{InsecureSkipVerify: h.Transport.TLS.Insecure} //nolint:gosec // as configured
		}
		if address, err := forward.ParseAddress(dial); err == nil {
			all = append(all, doctor.Upstream{Address: address, TLS: settings})
		}
	}
	for _, i := range f.waiting {
		f.gates[i].Upstreams = all
	}
	f.waiting = nil
}

// settings are those that the gate uses, as far as they can be read; nil for the defaults.
func (t *configUpstreamTLS) settings() *tls.Config {
	if t == nil {
		return nil
	}
	c := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure} //nolint:gosec // as configured
	if pem, err := os.ReadFile(t.CAFile); t.CAFile != "" && err == nil {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM(pem)
	}
	if t.CertificateFile != "" {
		if certificate, err := tls.LoadX509KeyPair(t.CertificateFile, t.KeyFile); err == nil {
			c.Certificates = []tls.Certificate{certificate}
		}
	}
	return c
}
