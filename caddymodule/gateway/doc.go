// Package gateway contains the Caddy handler "docsgate". A request passes these stages: parse, authenticate, authorize,
// limit, rewrite, forward, respond. The pipeline is in request.go, the relaying of responses in response.go.
package gateway
