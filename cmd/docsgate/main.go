// Command docsgate is Caddy with the docsgate modules and subcommands.
//
// All of Caddy's commands work: run, start, stop, reload, validate, adapt, list-modules and the rest, except those that replace
// the program with one from Caddy's download server.
package main

import (
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/docsgate/docsgate/caddymodule"
	_ "github.com/docsgate/docsgate/cmd/commands"
	"github.com/docsgate/docsgate/internal/buildinfo"
)

func main() {
	caddy.CustomBinaryName = "docsgate"
	caddy.CustomLongDescription = "docsgate is Caddy with an API key gate for DocsGPT. It has all of Caddy's commands, and also\n" +
		"init, keys, adopt, doctor, health and demo. Try \"docsgate demo\"."
	// Caddy prints its own version after this one.
	caddy.CustomVersion = "docsgate " + buildinfo.Version() + ", Caddy"
	if message := unsupported(os.Args[1:]); message != "" {
		fmt.Fprintln(os.Stderr, message)
		os.Exit(caddy.ExitCodeFailedStartup)
	}
	spaceCollections()
	caddycmd.Main()
}
