package docsgpt

import "net/http"

// requestHeaders are the client's headers that are forwarded, in canonical spelling. All others are dropped: DocsGPT
// reads session IDs, idempotency keys and an internal key from headers, in several spellings, and ignores the key of the
// body when there is an Authorization header. Origin and Referer are forwarded unchanged, since newer versions can bind
// agents to web origins.
var requestHeaders = []string{"Accept", "Accept-Language", "Origin", "Referer", "User-Agent", "Traceparent", "Tracestate"}

// responseHeaders are DocsGPT's headers that are relayed to the client.
var responseHeaders = []string{
	"Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Cache-Control", "Retry-After",
	"X-Should-Retry", "X-Accel-Buffering",
}

// CopyRequestHeaders copies the client's headers that may be forwarded from src to dst.
func CopyRequestHeaders(dst, src http.Header, e *Endpoint) {
	copyHeaders(dst, src, requestHeaders)
	copyHeaders(dst, src, e.RequestHeaders)
}

// CopyResponseHeaders copies the upstream's headers that may reach the client from src to dst.
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
