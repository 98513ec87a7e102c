// Command docsgate is Caddy with the docsgate module in it, and docsgate's own subcommands.
//
// All of Caddy's commands work: run, start, stop, reload, validate, adapt, list-modules and the rest.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/docsgate/docsgate/caddymodule"
	_ "github.com/docsgate/docsgate/cmd/commands"
)

func main() {
	caddycmd.Main()
}
