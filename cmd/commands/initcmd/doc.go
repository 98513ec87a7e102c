// Package initcmd contains the subcommand "init", which finds a DocsGPT and writes the configuration of a gate in front of it.
package initcmd
