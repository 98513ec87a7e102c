// Package commands adds docsgate's own subcommands to Caddy's command line. It is a package of its own, so that a
// binary built by xcaddy has them too.
package commands
