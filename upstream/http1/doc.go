// Package http1 is an HTTP/1.1 client for one server over plain TCP or a Unix socket. It does less than [net/http.Transport], and
// costs less:
//
//   - Everything happens in the goroutine of the caller. Only a request body that is too large for one write has a goroutine of its
//     own, since a server may respond before it has read all of it.
//   - A connection that waits for bytes has no buffer.
//   - Timeouts are deadlines of the connection, which are changed only when they expire too early.
//
// A request is sent once. It is sent over another connection only if an idle connection took none of its bytes; see [Client.Do].
//
// The parser of responses is stricter than that of net/http. It accepts only HTTP/1.0 and HTTP/1.1 with lines that end with CRLF,
// header fields in a single line, at most one Content-Length, and chunked as the only Transfer-Encoding, without Content-Length.
// Header, chunk extensions and trailers are bounded. What follows a response closes the connection. Whatever it accepts, net/http
// reads the same way; a fuzz test compares them.
//
// The package does not know redirects, cookies, compression, proxies, TLS and Expect.
package http1
