package docsgpt

import "net/http"

// requestHeaders are the client's headers that DocsGPT gets to see, in canonical spelling. All others are dropped:
// DocsGPT reads sessions, idempotency and an internal key from headers, in several spellings, and an Authorization
// header beside a key makes it forget the key. Origin and Referer stay as they came, since newer versions can bind
// agentVersion to web origins.
var requestHeaders = []string{"Accept", "Accept-Language", "Origin", "Referer", "User-Agent", "Traceparent", "Tracestate"}

// responseHeaders are DocsGPT's headers that the client gets to see.
var responseHeaders = []string{
	"Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Cache-Control", "Retry-After",
	"X-Should-Retry", "X-Accel-Buffering",
}

// CopyRequestHeaders copies to dst what of the client's headers may be forwarded.
func CopyRequestHeaders(dst, src http.Header, e *Endpoint) {
	copyHeaders(dst, src, requestHeaders)
	copyHeaders(dst, src, e.RequestHeaders)
}

// CopyResponseHeaders copies to dst what of the upstream's headers may reach the client.
func CopyResponseHeaders(dst, src http.Header, e *Endpoint) {
	copyHeaders(dst, src, responseHeaders)
	copyHeaders(dst, src, e.ResponseHeaders)
}

func copyHeaders(dst, src http.Header, names []string) {
	for _, name := range names {
		if values := src[name]; len(values) > 0 {
			dst[name] = values
		}
	}
}
