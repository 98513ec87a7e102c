// Package gateclient finds the gate that a command works on and calls docsgate's API there: over Caddy's admin endpoint, or in
// this process on the store file of a gate that does not run.
package gateclient
