package app

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/upstream"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("docsgate", parseOption)
}

// parseOption sets up the app from the global option:
//
//	docsgate {
//		feed <module> [<args...>]             # feed of keys; may be specified several times
//		upstream_token {env.<name>}|{file.<path>}
//		upstream_tools none|allow
//		docsgpt_version <version>|auto [<address>]
//		max_upload_disk <size>                # default: 1GiB
//		min_body_rate <size>                  # default: 1KiB
//		shutdown_grace <duration>             # default: 20s
//		shared_port
//		quota_time_zone <name>                # default: UTC
//	}
func parseOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // the error has the line of the second block
		return nil, d.Err("docsgate is already specified: merge the blocks")
	}
	app := &App{}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "docsgate", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from tokens.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "feed":
			err = a.unmarshalFeed(d)
		case "upstream_token":
			err = caddyfileutil.Secret(d, &a.UpstreamToken)
		case "upstream_tools":
			if err = caddyfileutil.Text(d, &a.UpstreamTools); err == nil {
				err = caddyfileutil.WrapErr(d, checkUpstreamTools(a.UpstreamTools))
			}
		case "docsgpt_version":
			err = a.unmarshalVersion(d)
		case "max_upload_disk":
			err = unmarshalSize(d, &a.MaxUploadDisk, 1<<20, 1<<50, "a size from 1MiB to 1PiB, such as 2GiB")
		case "min_body_rate":
			err = unmarshalSize(d, &a.MinBodyRate, 1, 1<<20, "a size per second from 1B to 1MiB, such as 1KiB")
		case "shutdown_grace":
			err = a.unmarshalShutdownGrace(d)
		case "shared_port":
			err = caddyfileutil.Flag(d, &a.SharedPort)
		case "quota_time_zone":
			if err = caddyfileutil.Text(d, &a.QuotaTimeZone); err == nil {
				_, err = loadTimeZone(a.QuotaTimeZone)
				err = caddyfileutil.WrapErr(d, err)
			}
		default:
			err = caddyfileutil.Unrecognized(d, "feed", "upstream_token", "upstream_tools", "docsgpt_version", "max_upload_disk", "min_body_rate",
				"shutdown_grace", "shared_port", "quota_time_zone")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalShutdownGrace(d *caddyfile.Dispenser) error {
	if a.ShutdownGrace != 0 {
		return caddyfileutil.AlreadySpecified(d)
	}
	return caddyfileutil.Duration(d, &a.ShutdownGrace, "20s")
}

// unmarshalVersion parses "docsgpt_version <version>|auto [<address>]".
func (a *App) unmarshalVersion(d *caddyfile.Dispenser) error {
	if a.DocsGPTVersion != "" {
		return caddyfileutil.AlreadySpecified(d)
	}
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 1 && args[0] != docsgpt.Auto || len(args) > 2 {
		return d.ArgErr()
	}
	a.DocsGPTVersion = args[0]
	switch {
	case a.DocsGPTVersion == "":
		return d.Err("docsgpt_version must not be empty")
	case a.DocsGPTVersion != docsgpt.Auto:
		if _, err := docsgpt.FindVersion(a.DocsGPTVersion); err != nil {
			return d.Err(err.Error())
		}
	case len(args) == 2:
		a.DocsGPTAddress = args[1]
		if !strings.Contains(a.DocsGPTAddress, "{") {
			if _, err := upstream.ParseAddress(a.DocsGPTAddress); err != nil {
				return d.WrapErr(err)
			}
		}
	}
	return nil
}

// unmarshalFeed parses "feed <module> [<args...>]"; the module parses the arguments.
func (a *App) unmarshalFeed(d *caddyfile.Dispenser) error {
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
	a.FeedsRaw = append(a.FeedsRaw, caddyconfig.JSONModuleObject(module, "feed", name, &warnings))
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
