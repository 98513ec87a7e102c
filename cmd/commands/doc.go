// Package commands registers docsgate's subcommands with Caddy's command line when it is imported. It is separate from cmd/docsgate
// so that a binary built by xcaddy can import it too.
package commands
