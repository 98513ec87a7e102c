package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("docsgate", parseDirective)
	// With no upstream named the next handler forwards, so the gate comes just before those that do. Directives that
	// restrict a site further, such as basic_auth, come before it.
	httpcaddyfile.RegisterDirectiveOrder("docsgate", httpcaddyfile.Before, "reverse_proxy")
}

func parseDirective(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	return h, nil
}

// UnmarshalCaddyfile sets up the handler from tokens:
//
//	docsgate [<matcher>] [<upstream>] {
//		endpoints <groups...>             # see docs/configuration.md; default: widget
//		allow <members...>                # further body members to let through
//		max_body <size>                   # default: 4MiB
//		max_upload <size>                 # default: 100MiB
//		max_history_entries <number>      # default: 500
//		max_history_size <size>           # default: 256KiB
//		max_messages <number>             # default: 1000
//		max_messages_size <size>          # default: 512KiB
//		max_text_size <size>              # default: 256KiB
//		max_in_flight <number>            # default: 64
//		max_in_flight_per_key <number>    # default: 16
//		dial_timeout <duration>           # default: 5s
//		first_byte_timeout <duration>     # default: 10m
//		idle_timeout <duration>           # default: 5m
//		keep_alive <duration>             # default: 4s
//		client_write_timeout <duration>   # default: 30s
//		client_min_rate <size>            # per second; default: 1KiB
//		tls {
//			ca_file <path>
//			server_name <name>
//			certificate <certificate path> <key path>
//			insecure_skip_verify
//		}
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		h.Upstream = d.Val()
		// An address that is known now is checked now, where the error can name file and line.
		if !strings.Contains(h.Upstream, "{") {
			if _, err := forward.ParseAddress(h.Upstream); err != nil {
				return d.WrapErr(err)
			}
		}
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := options[name]
		if !ok {
			return d.Errf("unrecognized subdirective %q: known are endpoints, allow, max_body, max_upload, "+
				"max_history_entries, max_history_size, max_messages, max_messages_size, max_text_size, max_in_flight, "+
				"max_in_flight_per_key, dial_timeout, first_byte_timeout, idle_timeout, keep_alive, client_write_timeout, client_min_rate, tls", name)
		}
		if seen[name] {
			return d.Errf("%s stands twice", name)
		}
		seen[name] = true
		if err := read(h, d); err != nil {
			return err
		}
	}
	if err := checkInFlight(h.MaxInFlight, h.MaxInFlightPerKey); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// options are the subdirectives, each with what reads it.
var options = map[string]func(*Handler, *caddyfile.Dispenser) error{
	"endpoints":             (*Handler).unmarshalEndpoints,
	"allow":                 (*Handler).unmarshalAllow,
	"max_body":              sizeOption("4MiB", func(h *Handler) *int64 { return &h.MaxBody }),
	"max_upload":            sizeOption("100MiB", func(h *Handler) *int64 { return &h.MaxUpload }),
	"max_history_entries":   countOption("500", func(h *Handler) *int { return &h.MaxHistoryEntries }),
	"max_history_size":      sizeOption("256KiB", func(h *Handler) *int64 { return &h.MaxHistorySize }),
	"max_messages":          countOption("1000", func(h *Handler) *int { return &h.MaxMessages }),
	"max_messages_size":     sizeOption("512KiB", func(h *Handler) *int64 { return &h.MaxMessagesSize }),
	"max_text_size":         sizeOption("256KiB", func(h *Handler) *int64 { return &h.MaxTextSize }),
	"max_in_flight":         countOption("64", func(h *Handler) *int { return &h.MaxInFlight }),
	"max_in_flight_per_key": countOption("16", func(h *Handler) *int { return &h.MaxInFlightPerKey }),
	"dial_timeout":          durationOption(func(h *Handler) *caddy.Duration { return &h.DialTimeout }),
	"first_byte_timeout":    durationOption(func(h *Handler) *caddy.Duration { return &h.FirstByteTimeout }),
	"idle_timeout":          durationOption(func(h *Handler) *caddy.Duration { return &h.IdleTimeout }),
	"keep_alive":            durationOption(func(h *Handler) *caddy.Duration { return &h.KeepAlive }),
	"client_write_timeout":  durationOption(func(h *Handler) *caddy.Duration { return &h.ClientWriteTimeout }),
	"client_min_rate":       (*Handler).unmarshalClientMinRate,
	"tls":                   (*Handler).unmarshalTLS,
}

func (h *Handler) unmarshalEndpoints(d *caddyfile.Dispenser) error {
	h.Endpoints = d.RemainingArgs()
	if len(h.Endpoints) == 0 {
		return d.ArgErr()
	}
	seen := map[string]bool{}
	for _, name := range h.Endpoints {
		if seen[name] {
			return d.Errf("endpoints names %q twice", name)
		}
		seen[name] = true
		if !docsgpt.KnownGroup(docsgpt.Group(name)) {
			return d.Errf("unknown endpoint group %q: known are %s", name, docsgpt.GroupList())
		}
	}
	return nil
}

func (h *Handler) unmarshalAllow(d *caddyfile.Dispenser) error {
	h.Allow = d.RemainingArgs()
	if len(h.Allow) == 0 {
		return d.ArgErr()
	}
	for _, name := range h.Allow {
		if err := docsgpt.CheckAllowed(name); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func sizeOption(example string, field func(*Handler) *int64) func(*Handler, *caddyfile.Dispenser) error {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name, text := d.Val(), ""
		if !d.AllArgs(&text) {
			return d.ArgErr()
		}
		size, err := humanize.ParseBytes(text)
		if err != nil || size < 1<<10 || size > 1<<30 {
			return d.Errf("%s %s: write a size from 1KiB to 1GiB, such as %s", name, text, example)
		}
		*field(h) = int64(size)
		return nil
	}
}

func (h *Handler) unmarshalClientMinRate(d *caddyfile.Dispenser) error {
	text := ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size < 1 || size > 1<<20 {
		return d.Errf("client_min_rate %s: write a size for each second, from 1B to 1MiB, such as 1KiB", text)
	}
	h.ClientMinRate = int64(size)
	return nil
}

func durationOption(field func(*Handler) *caddy.Duration) func(*Handler, *caddyfile.Dispenser) error {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		name, text := d.Val(), ""
		if !d.AllArgs(&text) {
			return d.ArgErr()
		}
		duration, err := caddy.ParseDuration(text)
		if err != nil || duration <= 0 {
			return d.Errf("%s %s: write a time above zero, such as 30s or 10m", name, text)
		}
		*field(h) = caddy.Duration(duration)
		return nil
	}
}

func (h *Handler) unmarshalTLS(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	h.TLS = new(UpstreamTLS)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		ok := false
		switch d.Val() {
		case "ca_file":
			ok = d.AllArgs(&h.TLS.CAFile)
		case "server_name":
			ok = d.AllArgs(&h.TLS.ServerName)
		case "certificate":
			ok = d.AllArgs(&h.TLS.CertificateFile, &h.TLS.KeyFile)
		case "insecure_skip_verify":
			ok = len(d.RemainingArgs()) == 0
			h.TLS.InsecureSkipVerify = true
		default:
			return d.Errf("unrecognized tls option %q: known are ca_file, server_name, certificate, "+
				"insecure_skip_verify", d.Val())
		}
		if !ok {
			return d.ArgErr()
		}
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
