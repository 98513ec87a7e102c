package app

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// CheckBackendOption returns an error if the global options do not define the backend that a directive refers to; name is empty if it refers
// to none. The error has the line of the subdirective backend. A configuration in JSON is checked by FindBackend.
func CheckBackendOption(helper httpcaddyfile.Helper, name string) error {
	var defined App
	if option, ok := helper.Option("docsgate").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(option.Value, &defined); err != nil {
			return err
		}
	}
	if name == "" && (len(defined.Backends) == 0 || defined.isConfigured()) || defined.Backends[name] != nil {
		return nil
	}
	d := helper.Dispenser
	for d.Reset(); d.Next(); {
		if d.Val() == "backend" && d.NextArg() && d.Val() == name {
			break
		}
	}
	if name == "" {
		d.Reset()
		d.Next()
	}
	return d.WrapErr(unknownBackend(name, defined.BackendNames()))
}
