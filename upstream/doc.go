// Package upstream is the gate's own way to its upstream: one HTTP/1.1 connection pool an upstream, cancellation at once
// when the client is gone, and relaying of answers piece by piece as they come. It knows no keys, no DocsGPT and no
// Caddy.
package upstream
