// Package doctorcmd implements the subcommand "doctor": it collects what the package doctor checks, and prints the findings. It
// reads the configuration of Caddy, which the package doctor does not know.
package doctorcmd
