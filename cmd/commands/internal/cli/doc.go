// Package cli contains what docsgate's subcommands share: exit statuses, checks of arguments that never repeat a secret, and
// reading a secret from standard input.
package cli
