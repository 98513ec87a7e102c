// Package upstream sends requests to an HTTP upstream and relays its responses.
//
//   - [Upstream] has its own pool of HTTP/1.1 connections, in most cases that of an [http1.Client]. It retries a request
//     only if nothing of it was sent, and closes the connection immediately when the client has gone.
//   - [Copy] relays a response chunk by chunk, as it arrives, with a timeout for silence.
//   - [Buffer] and [Spool] are request bodies that can be read several times, in memory and in a file. An [Allowance]
//     bounds what they use while they are received.
//   - [ParseAddress] parses the address of an upstream.
//
// The package does not depend on keys, DocsGPT or Caddy.
package upstream
