package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
	"github.com/docsgate/docsgate/upstream"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("docsgate", parseOption)
}

// parseOption sets up the app from the global option, which may be specified once for each backend:
//
//	docsgate [<backend>] {
//		feed <module> [<args...>]             # feed of keys; may be specified several times
//		upstream_token {env.<name>}|{file.<path>}
//		upstream_tools none|allow
//		docsgpt_version <version>|auto [<address>]
//		token_price <amount> <currency>       # of a million tokens; default: unknown
//
//		# Only without a name, since they apply to the whole process:
//		max_upload_disk <size>                # default: 1GiB
//		min_body_rate <size>                  # default: 1KiB
//		shutdown_grace <duration>             # default: 20s
//		shared_port
//		quota_time_zone <name>                # default: UTC
//		ready_requires upstream|queue...      # default: none
//		shared_limits <address> { ... }
//	}
//
// existing is the result of the earlier blocks.
func parseOption(d *caddyfile.Dispenser, existing any) (any, error) {
	app := &App{}
	if existing, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(existing.Value, app); err != nil {
			return nil, err
		}
		app.hasUnnamed = len(app.Backends) == 0 || app.isConfigured() || app.hasProcessOptions()
	}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "docsgate", Value: caddyconfig.JSON(app, nil)}, nil
}

// Options of a block, in the order of error messages.
var (
	backendOptions = []string{"feed", "upstream_token", "upstream_tools", "docsgpt_version", "token_price"}
	processOptions = []string{"max_upload_disk", "min_body_rate", "shutdown_grace", "shared_port", "quota_time_zone", "ready_requires", "shared_limits"}
)

func (a *App) hasProcessOptions() bool {
	return a.MaxUploadDisk != 0 || a.MinBodyRate != 0 || a.ShutdownGrace != 0 || a.SharedPort || a.QuotaTimeZone != "" ||
		len(a.ReadyRequires) > 0 || a.SharedLimits != nil
}

// UnmarshalCaddyfile adds a block to the app.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	b, named := &a.Backend, d.NextArg()
	switch {
	case named:
		var err error
		if b, err = a.addBackend(d.Val()); err != nil {
			return d.WrapErr(err)
		}
	case a.hasUnnamed:
		return d.Err("docsgate is already specified: merge the blocks")
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch {
		case slices.Contains(backendOptions, d.Val()):
			err = b.unmarshalOption(d)
		case !slices.Contains(processOptions, d.Val()):
			known := backendOptions
			if !named {
				known = slices.Concat(known, processOptions)
			}
			err = caddyfileutil.Unrecognized(d, known...)
		case named:
			err = d.Errf("%s applies to the whole process: specify it in the docsgate options without a name", d.Val())
		default:
			err = a.unmarshalOption(d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addBackend adds a named backend.
func (a *App) addBackend(name string) (*Backend, error) {
	if err := CheckBackendName(name); err != nil {
		return nil, err
	}
	if a.Backends[name] != nil {
		return nil, fmt.Errorf("docsgate %s is already specified: merge the blocks", name)
	}
	if a.Backends == nil {
		a.Backends = map[string]*Backend{}
	}
	a.Backends[name] = &Backend{}
	return a.Backends[name], nil
}

// unmarshalOption parses one of backendOptions.
func (b *Backend) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "feed":
		return b.unmarshalFeed(d)
	case "upstream_token":
		return caddyfileutil.Secret(d, &b.UpstreamToken)
	case "upstream_tools":
		if err := caddyfileutil.Text(d, &b.UpstreamTools); err != nil {
			return err
		}
		return caddyfileutil.WrapErr(d, checkUpstreamTools(b.UpstreamTools))
	case "token_price":
		return b.unmarshalTokenPrice(d)
	default:
		return b.unmarshalVersion(d)
	}
}

func (b *Backend) unmarshalTokenPrice(d *caddyfile.Dispenser) error {
	if b.TokenPrice != nil {
		return caddyfileutil.AlreadySpecified(d)
	}
	var amount, currency string
	if !d.AllArgs(&amount, &currency) {
		return d.ArgErr()
	}
	price, err := tokenprice.Parse(amount, currency)
	b.TokenPrice = &price
	return caddyfileutil.WrapErr(d, err)
}

// unmarshalOption parses one of processOptions.
func (a *App) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "max_upload_disk":
		return unmarshalSize(d, &a.MaxUploadDisk, 1<<20, 1<<50, "a size from 1MiB to 1PiB, such as 2GiB")
	case "min_body_rate":
		return unmarshalSize(d, &a.MinBodyRate, 1, 1<<20, "a size per second from 1B to 1MiB, such as 1KiB")
	case "shutdown_grace":
		return a.unmarshalShutdownGrace(d)
	case "shared_port":
		return caddyfileutil.Flag(d, &a.SharedPort)
	case "shared_limits":
		return a.unmarshalSharedLimits(d)
	case "ready_requires":
		if len(a.ReadyRequires) > 0 {
			return caddyfileutil.AlreadySpecified(d)
		}
		if err := caddyfileutil.List(d, &a.ReadyRequires); err != nil {
			return err
		}
		return caddyfileutil.WrapErr(d, checkReadyRequires(a.ReadyRequires))
	default:
		if err := caddyfileutil.Text(d, &a.QuotaTimeZone); err != nil {
			return err
		}
		_, err := loadTimeZone(a.QuotaTimeZone)
		return caddyfileutil.WrapErr(d, err)
	}
}

func (a *App) unmarshalShutdownGrace(d *caddyfile.Dispenser) error {
	if a.ShutdownGrace != 0 {
		return caddyfileutil.AlreadySpecified(d)
	}
	return caddyfileutil.Duration(d, &a.ShutdownGrace, "20s")
}

// unmarshalVersion parses "docsgpt_version <version>|auto [<address>]".
func (b *Backend) unmarshalVersion(d *caddyfile.Dispenser) error {
	if b.DocsGPTVersion != "" {
		return caddyfileutil.AlreadySpecified(d)
	}
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 1 && args[0] != docsgpt.Auto || len(args) > 2 {
		return d.ArgErr()
	}
	b.DocsGPTVersion = args[0]
	switch {
	case b.DocsGPTVersion == "":
		return d.Err("docsgpt_version must not be empty")
	case b.DocsGPTVersion != docsgpt.Auto:
		if _, err := docsgpt.FindVersion(b.DocsGPTVersion); err != nil {
			return d.Err(err.Error())
		}
	case len(args) == 2:
		b.DocsGPTAddress = args[1]
		if !strings.Contains(b.DocsGPTAddress, "{") {
			if _, err := upstream.ParseAddress(b.DocsGPTAddress); err != nil {
				return d.WrapErr(err)
			}
		}
	}
	return nil
}

// unmarshalFeed parses "feed <module> [<args...>]"; the module parses the arguments.
func (b *Backend) unmarshalFeed(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	const namespace = "docsgate.feeds."
	if _, err := caddy.GetModule(namespace + name); err != nil {
		return d.Errf("unrecognized feed %q: must be one of %s", name, feedNames())
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+name)
	if err != nil {
		return err
	}
	var warnings []caddyconfig.Warning
	b.FeedsRaw = append(b.FeedsRaw, caddyconfig.JSONModuleObject(module, "feed", name, &warnings))
	for _, w := range warnings {
		return d.Errf("feed %s: %s", name, w.Message)
	}
	return nil
}

func feedNames() string {
	names := ""
	for i, m := range caddy.GetModules("docsgate.feeds") {
		if i > 0 {
			names += ", "
		}
		names += m.ID.Name()
	}
	return names
}

// unmarshalSize parses the size of an option that may be specified once. expected describes valid values.
func unmarshalSize(d *caddyfile.Dispenser, to *int64, least, most uint64, expected string) error {
	if *to != 0 {
		return caddyfileutil.AlreadySpecified(d)
	}
	return caddyfileutil.Size(d, to, least, most, expected)
}

var _ caddyfile.Unmarshaler = (*App)(nil)
