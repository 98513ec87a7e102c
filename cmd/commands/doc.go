// Package commands adds docsgate's subcommands (keys, doctor, demo, adopt) to Caddy's command line. It is separate from
// cmd/docsgate so that a binary built by xcaddy can import it too.
package commands
