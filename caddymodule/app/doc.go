// Package app contains the Caddy app "docsgate": what all handlers of a configuration share. It loads the feeds of keys,
// resolves the version of DocsGPT, and holds the state that outlives a reload.
package app
