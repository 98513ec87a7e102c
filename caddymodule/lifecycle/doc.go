// Package lifecycle tracks the requests in flight of the process and their connections: it notices clients that disconnect,
// ends those that read too slowly, and ends requests after a grace period when the process exits.
package lifecycle
