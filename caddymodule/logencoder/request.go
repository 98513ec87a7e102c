package logencoder

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/redact"
)

// rules is what the encoder logs of requests. It is immutable.
type rules struct {
	headers map[string]bool // canonical names, beside loggedHeaders
	paths   map[string]bool // beside known paths
}

// Bounds of what is logged of a request.
const (
	maxField        = 256     // bytes of a header value or a host
	maxHeaderValues = 4       // values of a header
	maxQuery        = 4 << 10 // bytes of a query that are read
	maxPrefix       = 8       // segments before the path of an endpoint
)

// other replaces a value that is not in a fixed list.
const other = "OTHER"

var loggedMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	http.MethodConnect, http.MethodTrace,
}

var loggedProtocols = []string{"HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"}

// loggedPaths are known paths beside those of DocsGPT: Caddy's admin endpoint, and what browsers and monitoring request.
var loggedPaths = []string{
	"/", "/adapt", "/config", "/config/", "/favicon.ico", "/index.html", "/load", "/metrics", "/robots.txt", "/stop",
}

// loggedParams are names of query parameters. Unknown names are not logged, since a client may put a token there.
var loggedParams = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range slices.Concat(docsgpt.KnownParams(), []string{
		"access_token", "api-key", "api_key", "api_token", "apikey", "auth", "authorization", "bearer", "key", "password", "secret",
		"token", "x-api-key",
	}) {
		names[name] = true
	}
	return names
}()

// loggedHeaders are headers of requests and responses whose values are logged, except for tokens.
var loggedHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Allow-Origin", "Access-Control-Request-Method", "Allow",
	"Alt-Svc", "Cache-Control", "Connection", "Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Date",
	"Expect", "Mcp-Protocol-Version", "Origin", "Referer", "Retry-After", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	"Server", "Upgrade", "User-Agent", "Vary", "Via", "X-Accel-Buffering", "X-Content-Type-Options", "X-Forwarded-Proto",
	"X-Request-Id", "X-Should-Retry",
}

// credentialHeaders are headers for credentials. The log shows that a request has them.
var credentialHeaders = []string{"Api-Key", "Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie", "X-Api-Key"}

// logsHeader reports whether a header is logged. Names of other headers are not, since a client may put a token there.
func (r *rules) logsHeader(name string) bool {
	canonical := http.CanonicalHeaderKey(name)
	return slices.Contains(loggedHeaders, canonical) || slices.Contains(credentialHeaders, canonical) || r.headers[canonical]
}

// header returns what is logged of a value of a header.
func (r *rules) header(name, value string) string {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case slices.Contains(credentialHeaders, canonical):
		return redact.Replacement
	case canonical == "Origin" || canonical == "Referer" || canonical == "Access-Control-Allow-Origin":
		return origin(value)
	}
	return redactField(value)
}

// origin returns the scheme and host of a URL.
func origin(value string) string {
	if value == "" || value == "*" || value == "null" {
		return value
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return redact.Replacement
	}
	return u.Scheme + "://" + redactField(u.Host)
}

// requestField returns what is logged of a text of a request.
func (r *rules) requestField(key, value string) string {
	switch key {
	case "uri":
		return r.uri(value)
	case "method":
		if !slices.Contains(loggedMethods, value) {
			return other
		}
		return value
	case "proto":
		if !slices.Contains(loggedProtocols, value) {
			return other
		}
		return value
	}
	return redactField(value)
}

// redactField returns the beginning of a client's text without tokens. Text is cut only after tokens were found in it, since
// the beginning of a token is not recognized.
func redactField(value string) string {
	value = redact.Text(value)
	if len(value) > maxField {
		value = redact.Omit(value[:maxField], len(value)-maxField)
	}
	return value
}

// uri returns what is logged of a request target: a known path, and the names of known parameters. All else is replaced.
func (r *rules) uri(target string) string {
	if target == "" || target == "*" {
		return target
	}
	target, _, _ = strings.Cut(target, "#")
	path, query, _ := strings.Cut(target, "?")
	return r.path(path) + paramNames(query)
}

const redactedPath = "/" + redact.Replacement

func (r *rules) path(raw string) string {
	for _, scheme := range []string{"http://", "https://"} { // the target of a request to a proxy
		if rest, ok := strings.CutPrefix(raw, scheme); ok {
			i := strings.IndexByte(rest, '/')
			if i < 0 {
				return "/"
			}
			raw = rest[i:]
		}
	}
	if r.paths[raw] || slices.Contains(loggedPaths, raw) {
		return raw
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return redactedPath
	}
	if known, ok := docsgpt.KnownPath(path); ok {
		return known
	}
	// The gate may be below a path of its site, whose segments are not known.
	for range maxPrefix {
		i := strings.IndexByte(path[min(1, len(path)):], '/')
		if i < 0 {
			break
		}
		path = path[i+1:]
		if known, ok := docsgpt.KnownPath(path); ok {
			return redactedPath + known
		}
	}
	return redactedPath
}

// paramNames returns "?" and the names of the parameters in a query, or "".
func paramNames(query string) string {
	if query == "" {
		return ""
	}
	names := make([]string, 0, 4)
	unknown := len(query) > maxQuery
	query = query[:min(len(query), maxQuery)]
	for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		name = strings.ToLower(name)
		switch {
		case err != nil || !loggedParams[name]:
			unknown = true
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	if unknown {
		names = append(names, redact.Replacement)
	}
	return "?" + strings.Join(names, "&")
}
