// Command docsgate is Caddy with the docsgate modules and subcommands.
//
// All of Caddy's commands work: run, start, stop, reload, validate, adapt, list-modules and the rest.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/docsgate/docsgate/caddymodule"
	_ "github.com/docsgate/docsgate/cmd/commands"
)

func main() {
	caddy.CustomBinaryName = "docsgate"
	caddy.CustomLongDescription = "docsgate is Caddy with an API key gate for DocsGPT. It has all of Caddy's commands, and also\n" +
		"keys, adopt, doctor and demo. Try \"docsgate demo\"."
	caddycmd.Main()
}
