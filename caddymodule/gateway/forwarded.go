package gateway

import (
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

var forwardedHeaders = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}

// copyTrustedForwarded copies the X-Forwarded headers of the client if it is one of Caddy's trusted proxies. Those of other
// clients may be forged.
func copyTrustedForwarded(dst http.Header, r *http.Request) {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return
	}
	for _, name := range forwardedHeaders {
		if values := r.Header[name]; len(values) > 0 {
			dst[name] = values
		}
	}
}

// addProxyHeaders adds the headers that reverse_proxy would add to requests of the built-in upstream.
func addProxyHeaders(dst http.Header, v *headerValues, r *http.Request) {
	addForwarded(dst, v, r)
	if _, named := dst["User-Agent"]; !named {
		dst["User-Agent"] = noValue // prevents the default of net/http
	}
}

// noValue is only passed to the built-in upstream, which does not modify it.
var noValue = []string{""}

// addForwarded sets the X-Forwarded headers as reverse_proxy does: values of a trusted proxy are kept, and the address of
// the client is appended.
func addForwarded(dst http.Header, v *headerValues, r *http.Request) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr // a unix socket has no port
	}
	if prior := dst["X-Forwarded-For"]; len(prior) > 0 {
		list := ""
		for _, value := range prior {
			list += value + ", "
		}
		client = list + client
	}
	if client != "" && client != "@" {
		v.set(dst, "X-Forwarded-For", client)
	}
	if len(dst["X-Forwarded-Proto"]) == 0 {
		scheme := "https"
		if r.TLS == nil {
			scheme = "http"
		}
		v.set(dst, "X-Forwarded-Proto", scheme)
	}
	if len(dst["X-Forwarded-Host"]) == 0 && r.Host != "" {
		v.set(dst, "X-Forwarded-Host", r.Host)
	}
}
