package logencoder

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/zapcore"

	"github.com/docsgate/docsgate/internal/redact"
)

// UnmarshalCaddyfile sets up the encoder from tokens:
//
//	docsgate {
//		wrap <encoder>       # default: json, or console if the output is a terminal
//		headers <names...>   # further headers whose values are logged
//		paths <paths...>     # further paths that are logged
//	}
func (e *Encoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "wrap":
			if e.WrappedRaw != nil {
				return d.Err("wrap already specified")
			}
			if !d.NextArg() {
				return d.ArgErr()
			}
			name := d.Val()
			id := "caddy.logging.encoders." + name
			module, err := caddyfile.UnmarshalModule(d, id)
			if err != nil {
				return err
			}
			encoder, ok := module.(zapcore.Encoder)
			if !ok {
				return d.Errf("module %s (%T) is not a zapcore.Encoder", id, module)
			}
			e.WrappedRaw = caddyconfig.JSONModuleObject(encoder, "format", name, nil)
		case "headers":
			names := d.RemainingArgs()
			if len(names) == 0 {
				return d.ArgErr()
			}
			for _, name := range names {
				if redact.IsCredentialName(name) {
					return d.Errf("the values of the header %s are credentials", name)
				}
			}
			e.Headers = append(e.Headers, names...)
		case "paths":
			paths := d.RemainingArgs()
			if len(paths) == 0 {
				return d.ArgErr()
			}
			e.Paths = append(e.Paths, paths...)
		default:
			return d.Errf("unrecognized subdirective %q: must be one of wrap, headers, paths", d.Val())
		}
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Encoder)(nil)
