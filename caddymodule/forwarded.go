package caddymodule

import (
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

var forwardedHeaders = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}

// keepForwarded copies the client's X-Forwarded headers if it is one of Caddy's trusted proxies. Others could write
// there what they like.
func keepForwarded(dst http.Header, r *http.Request) {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return
	}
	for _, name := range forwardedHeaders {
		if values := r.Header[name]; len(values) > 0 {
			dst[name] = values
		}
	}
}

// completeHeader adds what a request needs that the gate sends by itself.
func completeHeader(dst http.Header, r *http.Request) {
	addForwarded(dst, r)
	if _, named := dst["User-Agent"]; !named {
		dst["User-Agent"] = noValue // else net/http would put its own name there
	}
}

var noValue = []string{""}

// addForwarded tells the upstream who asks, in the way of Caddy's reverse_proxy: a trusted proxy's own values are kept,
// and the direct client is added to the list.
func addForwarded(dst http.Header, r *http.Request) {
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
		dst["X-Forwarded-For"] = []string{client}
	}
	if len(dst["X-Forwarded-Proto"]) == 0 {
		scheme := "https"
		if r.TLS == nil {
			scheme = "http"
		}
		dst["X-Forwarded-Proto"] = []string{scheme}
	}
	if len(dst["X-Forwarded-Host"]) == 0 && r.Host != "" {
		dst["X-Forwarded-Host"] = []string{r.Host}
	}
}
