// Package democmd implements the subcommand "demo", which runs a gate, the page of the package demo and a fake DocsGPT in one process.
package democmd
