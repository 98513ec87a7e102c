// Package admin contains the administration of keys in Caddy: the web console "docsgate_console", and the API on Caddy's admin
// endpoint that the command line uses.
package admin
