package gateway

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/upstream"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("docsgate", parseDirective)
	// Without an upstream the next handler forwards, so the gate is ordered directly before reverse_proxy. Directives that
	// restrict access, such as basic_auth, come before it.
	httpcaddyfile.RegisterDirectiveOrder("docsgate", httpcaddyfile.Before, "reverse_proxy")
}

func parseDirective(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	return h, app.CheckBackendOption(helper, h.Backend)
}

// UnmarshalCaddyfile sets up the handler from tokens:
//
//	docsgate [<matcher>] [<upstream>] {
//		backend <name>                         # whose keys and credential apply; default: the docsgate options without a name
//		endpoints <groups...>                  # see docs/configuration.md; default: widget
//		allow_fields <fields...>               # additional body fields to forward
//		max_body_size <size>                   # default: 4MiB
//		max_upload_size <size>                 # default: 100MiB
//		max_history_entries <number>           # default: 500
//		max_history_size <size>                # default: 256KiB
//		max_messages <number>                  # default: 1000
//		max_messages_size <size>               # default: 512KiB
//		max_text_size <size>                   # default: 256KiB
//		limits {                               # defaults for keys that do not set them; "limits off": none
//			<name> <number>|<rate>|off           # see docs/configuration.md
//			weight <number>                      # of a key in the queue, 1 to 100; default: 1
//			limit_message <text>                 # sentence in the errors of limits; may contain {wait}
//			failed_tokens <rate>|off             # of a client address; default: 60/1m
//			dry_run [<names...>]                 # only count what these limits would reject; default: all
//		}
//		learn_origins                          # record the web origins that keys are used on
//		max_in_flight <number>                 # default: 64
//		max_in_flight_per_key <number>         # default: 16
//		queue <number>|0                       # default: 200
//		queue_timeout <duration>               # default: 1m
//		dial_timeout <duration>                # default: 5s
//		response_header_timeout <duration>     # default: 10m
//		stream_idle_timeout <duration>         # default: 5m
//		keepalive <duration>                   # default: 4s
//		sse_keepalive <duration>|0             # default: 15s
//		client_write_timeout <duration>        # default: 30s
//		client_min_rate <size>                 # per second; default: 1KiB
//		tls_trust_pool <module> [<args...>]    # these four as in reverse_proxy's transport
//		tls_client_auth <automate_name> | <cert_file> <key_file>
//		tls_server_name <name>
//		tls_insecure_skip_verify
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		h.Upstream = d.Val()
		// An address without placeholders is checked here, where the error has the file and the line.
		if !strings.Contains(h.Upstream, "{") {
			if _, err := upstream.ParseAddress(h.Upstream); err != nil {
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
		i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
		if i < 0 {
			return caddyfileutil.Unrecognized(d, optionNames()...)
		}
		if seen[name] {
			return caddyfileutil.AlreadySpecified(d)
		}
		seen[name] = true
		if err := options[i].parse(h, d); err != nil {
			return err
		}
	}
	if err := checkInFlight(h.MaxInFlight, h.MaxInFlightPerKey); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// option is a subdirective and its parser.
type option struct {
	name  string
	parse func(*Handler, *caddyfile.Dispenser) error
}

// options are the subdirectives in the order of the documentation.
var options = []option{
	{"backend", func(h *Handler, d *caddyfile.Dispenser) error { return caddyfileutil.Text(d, &h.Backend) }},
	{"endpoints", (*Handler).unmarshalEndpoints},
	{"allow_fields", (*Handler).unmarshalAllowFields},
	{"max_body_size", sizeOption("4MiB", func(h *Handler) *int64 { return &h.MaxBodySize })},
	{"max_upload_size", sizeOption("100MiB", func(h *Handler) *int64 { return &h.MaxUploadSize })},
	{"max_history_entries", countOption("500", func(h *Handler) *int { return &h.MaxHistoryEntries })},
	{"max_history_size", sizeOption("256KiB", func(h *Handler) *int64 { return &h.MaxHistorySize })},
	{"max_messages", countOption("1000", func(h *Handler) *int { return &h.MaxMessages })},
	{"max_messages_size", sizeOption("512KiB", func(h *Handler) *int64 { return &h.MaxMessagesSize })},
	{"max_text_size", sizeOption("256KiB", func(h *Handler) *int64 { return &h.MaxTextSize })},
	{"limits", (*Handler).unmarshalLimits},
	{"learn_origins", func(h *Handler, d *caddyfile.Dispenser) error {
		if d.NextArg() {
			return d.ArgErr()
		}
		h.LearnOrigins = true
		return nil
	}},
	{"max_in_flight", countOption("64", func(h *Handler) *int { return &h.MaxInFlight })},
	{"max_in_flight_per_key", countOption("16", func(h *Handler) *int { return &h.MaxInFlightPerKey })},
	{"queue", (*Handler).unmarshalQueue},
	{"queue_timeout", durationOption(func(h *Handler) *caddy.Duration { return &h.QueueTimeout })},
	{"dial_timeout", durationOption(func(h *Handler) *caddy.Duration { return &h.DialTimeout })},
	{"response_header_timeout", durationOption(func(h *Handler) *caddy.Duration { return &h.ResponseHeaderTimeout })},
	{"stream_idle_timeout", durationOption(func(h *Handler) *caddy.Duration { return &h.StreamIdleTimeout })},
	{"keepalive", durationOption(func(h *Handler) *caddy.Duration { return &h.IdleConnTimeout })},
	{"sse_keepalive", (*Handler).unmarshalSSEKeepalive},
	{"client_write_timeout", durationOption(func(h *Handler) *caddy.Duration { return &h.ClientWriteTimeout })},
	{"client_min_rate", (*Handler).unmarshalClientMinRate},
	{"tls_trust_pool", (*Handler).unmarshalTrustPool},
	{"tls_client_auth", (*Handler).unmarshalClientAuth},
	{"tls_server_name", (*Handler).unmarshalServerName},
	{"tls_insecure_skip_verify", (*Handler).unmarshalInsecureSkipVerify},
}

func optionNames() []string {
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.name
	}
	return names
}

func (h *Handler) unmarshalEndpoints(d *caddyfile.Dispenser) error {
	h.Endpoints = d.RemainingArgs()
	if len(h.Endpoints) == 0 {
		return d.ArgErr()
	}
	seen := map[string]bool{}
	for _, name := range h.Endpoints {
		if seen[name] {
			return d.Errf("endpoint group %q is specified twice", name)
		}
		seen[name] = true
		if !docsgpt.ValidGroup(docsgpt.Group(name)) {
			return d.Errf("unrecognized endpoint group %q: must be one of %s", name, docsgpt.GroupList())
		}
	}
	return nil
}

func (h *Handler) unmarshalAllowFields(d *caddyfile.Dispenser) error {
	h.AllowedFields = d.RemainingArgs()
	if len(h.AllowedFields) == 0 {
		return d.ArgErr()
	}
	for _, name := range h.AllowedFields {
		if err := docsgpt.CheckAllowed(name); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// unmarshalLimits parses the block "limits", or "limits off".
func (h *Handler) unmarshalLimits(d *caddyfile.Dispenser) error {
	h.Limits = new(policy.Limits)
	if d.NextArg() {
		if d.Val() != "off" || d.NextArg() {
			return d.ArgErr()
		}
		*h.Limits, h.FailedTokens = policy.NoLimits(), policy.Off().String()
		if d.NextBlock(d.Nesting()) {
			return d.Err("limits off cannot have a block")
		}
		return nil
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name, text := d.Val(), ""
		if name == "dry_run" {
			if err := h.unmarshalDryRun(d); err != nil {
				return err
			}
			continue
		}
		if name == failedTokensName {
			if err := h.unmarshalFailedTokens(d); err != nil {
				return err
			}
			continue
		}
		if name == limitMessageName {
			if err := h.unmarshalLimitMessage(d); err != nil {
				return err
			}
			continue
		}
		limit, known := h.Limits.Get(name)
		switch {
		case !known:
			return caddyfileutil.Unrecognized(d, append(dryRunNames(), "weight", limitMessageName, "dry_run")...)
		case !limit.IsZero():
			return caddyfileutil.AlreadySpecified(d)
		case !d.AllArgs(&text):
			return d.ArgErr()
		}
		if err := h.Limits.Set(name, text); err != nil {
			return d.WrapErr(err)
		}
	}
	return caddyfileutil.WrapErr(d, h.Limits.Validate())
}

// unmarshalFailedTokens parses "failed_tokens <rate>|off".
func (h *Handler) unmarshalFailedTokens(d *caddyfile.Dispenser) error {
	if h.FailedTokens != "" {
		return caddyfileutil.AlreadySpecified(d)
	}
	if !d.AllArgs(&h.FailedTokens) {
		return d.ArgErr()
	}
	_, err := parseFailedTokens(h.FailedTokens)
	return caddyfileutil.WrapErr(d, err)
}

// dryRunNames returns the names of the limits that dry_run may name.
func dryRunNames() []string {
	names := slices.DeleteFunc(policy.LimitNames(), func(name string) bool { return name == "weight" }) // it limits nothing
	return append(names, failedTokensName)
}

// unmarshalDryRun parses "dry_run [<names...>]".
func (h *Handler) unmarshalDryRun(d *caddyfile.Dispenser) error {
	if len(h.LimitsDryRun) > 0 {
		return caddyfileutil.AlreadySpecified(d)
	}
	if h.LimitsDryRun = d.RemainingArgs(); len(h.LimitsDryRun) == 0 {
		h.LimitsDryRun = dryRunNames()
	}
	for _, name := range h.LimitsDryRun {
		if !slices.Contains(dryRunNames(), name) {
			return d.Errf("unknown limit %q: must be one of %s", name, strings.Join(dryRunNames(), ", "))
		}
	}
	return nil
}

func sizeOption(example string, field func(*Handler) *int64) func(*Handler, *caddyfile.Dispenser) error {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		return caddyfileutil.Size(d, field(h), 1<<10, 1<<30, "a size from 1KiB to 1GiB, such as "+example)
	}
}

func (h *Handler) unmarshalClientMinRate(d *caddyfile.Dispenser) error {
	return caddyfileutil.Size(d, &h.ClientMinRate, 1, 1<<20, "a size per second from 1B to 1MiB, such as 1KiB")
}

// unmarshalQueue parses "queue <number>|0".
func (h *Handler) unmarshalQueue(d *caddyfile.Dispenser) error {
	text := ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	size, err := strconv.Atoi(text)
	if err == nil {
		err = checkQueue(&size, 0)
	}
	if err != nil {
		return d.Errf("queue must be a number from 0 to %d, such as %d; got %s", maxQueue, DefaultQueue, text)
	}
	h.Queue = &size
	return nil
}

func (h *Handler) unmarshalSSEKeepalive(d *caddyfile.Dispenser) error {
	text := ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	duration, err := caddy.ParseDuration(text)
	if err == nil {
		err = checkSSEKeepalive(duration)
	}
	if err != nil {
		return d.Errf("sse_keepalive must be a duration of at least 100ms, such as 15s, or 0; got %s", text)
	}
	interval := caddy.Duration(duration)
	h.SSEKeepalive = &interval
	return nil
}

func durationOption(field func(*Handler) *caddy.Duration) func(*Handler, *caddyfile.Dispenser) error {
	return func(h *Handler, d *caddyfile.Dispenser) error {
		return caddyfileutil.Duration(d, field(h), "30s or 10m")
	}
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
