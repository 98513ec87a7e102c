package gateway

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// upstreamTLS returns the TLS settings of the upstream, and creates them on first use.
func (h *Handler) upstreamTLS() *reverseproxy.TLSConfig {
	if h.TLS == nil {
		h.TLS = new(reverseproxy.TLSConfig)
	}
	return h.TLS
}

// unmarshalTrustPool parses "tls_trust_pool <module> [<args...>]".
func (h *Handler) unmarshalTrustPool(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "tls.ca_pool.source."+name)
	if err != nil {
		return err
	}
	if _, ok := module.(caddytls.CA); !ok {
		return d.Errf("module tls.ca_pool.source.%s is not a certificate pool provider", name)
	}
	h.upstreamTLS().CARaw = caddyconfig.JSONModuleObject(module, "provider", name, nil)
	return nil
}

// unmarshalClientAuth parses "tls_client_auth <automate_name> | <cert_file> <key_file>".
func (h *Handler) unmarshalClientAuth(d *caddyfile.Dispenser) error {
	settings := h.upstreamTLS()
	switch args := d.RemainingArgs(); len(args) {
	case 1:
		settings.ClientCertificateAutomate = args[0]
	case 2:
		settings.ClientCertificateFile, settings.ClientCertificateKeyFile = args[0], args[1]
	default:
		return d.ArgErr()
	}
	return nil
}

func (h *Handler) unmarshalServerName(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&h.upstreamTLS().ServerName) {
		return d.ArgErr()
	}
	return nil
}

func (h *Handler) unmarshalInsecureSkipVerify(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	h.upstreamTLS().InsecureSkipVerify = true
	return nil
}
