package doctor

import (
	"context"
	"net/http"
	"strings"
)

// proxy is a proxy or content delivery network, with the headers that it adds to responses. A response without data for its limit
// ends.
type proxy struct {
	name, limit string
	headers     []headerMark
}

// headerMark is a header whose value begins with a text, in any case.
type headerMark struct{ name, begin string }

// proxies are recognized by their headers. The limits are the defaults of each.
var proxies = []proxy{
	{"Cloudflare", "100 to 125 s", []headerMark{{"Cf-Ray", ""}, {"Server", "cloudflare"}}},
	{"Amazon CloudFront", "30 s", []headerMark{{"X-Amz-Cf-Id", ""}}},
	{"an AWS load balancer", "60 s", []headerMark{{"Server", "awselb"}, {"Set-Cookie", "AWSALB"}}},
	{"Fastly", "60 s", []headerMark{{"X-Fastly-Request-Id", ""}, {"X-Served-By", "cache-"}}},
	{"Azure Front Door", "30 s", []headerMark{{"X-Azure-Ref", ""}}},
	{"Google's load balancer", "30 s", []headerMark{{"Via", "1.1 google"}}},
	{"Akamai", "120 s", []headerMark{{"Server", "AkamaiGHost"}, {"X-Akamai-Request-Id", ""}}},
	{"Varnish", "60 s", []headerMark{{"X-Varnish", ""}}},
	{"Envoy", "15 s", []headerMark{{"Server", "envoy"}, {"X-Envoy-Upstream-Service-Time", ""}}},
	{"nginx", "60 s", []headerMark{{"Server", "nginx"}, {"Server", "openresty"}}},
	{"Apache", "60 s", []headerMark{{"Server", "Apache"}}},
}

// checkProxies looks for a proxy between clients and the gate in the headers of all responses of the previous checks. The gate keeps
// silent streams alive, but no other response can be.
func (x *runner) checkProxies(context.Context) {
	if x.outside == nil || !x.named || len(x.corsResponses) == 0 {
		return
	}
	found := false
	for _, p := range proxies {
		for _, r := range x.corsResponses {
			if p.sent(r.header) {
				found = true
				x.warnProxy(p.name, p.limit)
				break
			}
		}
	}
	for _, r := range x.corsResponses {
		if via := r.header.Get("Via"); !found && via != "" && !strings.Contains(strings.ToLower(via), "caddy") {
			found = true
			x.warnProxy("a proxy (Via: "+via+")", "an unknown time, usually 60 s")
		}
	}
	if found {
		x.checkTrustedProxies()
	} else {
		x.ok("stream.proxied", "The responses show no known proxy or content delivery network in front of the gate.")
	}
}

// checkTrustedProxies checks that the gate gets the addresses of clients from the proxy in front.
func (x *runner) checkTrustedProxies() {
	switch {
	case x.gate == nil:
	case x.gate.TrustedProxies:
		x.ok("gate.trusted_proxies", "The server gets the addresses of clients from trusted proxies.")
	default:
		x.warn("gate.trusted_proxies", "Clients reach the gate through a proxy that the server does not trust, so all visitors have the address "+
			"of the proxy and share the limits of one visitor.",
			"Set trusted_proxies in the servers options to the addresses of the proxy; see docs/behind-a-proxy.md.")
	}
}

func (x *runner) warnProxy(name, limit string) {
	x.warn("stream.proxied", "Clients reach the gate through "+name+", which by default ends a response after "+limit+
		" without data. The gate keeps streams alive, but not answers that are not streamed (/api/answer, /v1 without \"stream\").",
		"Let clients stream, or raise the limit of "+name+"; see docs/behind-a-cdn.md.")
}

// sent reports whether the proxy has added its headers to a response.
func (p *proxy) sent(h http.Header) bool {
	for _, m := range p.headers {
		for _, value := range h.Values(m.name) {
			if len(value) >= len(m.begin) && strings.EqualFold(value[:len(m.begin)], m.begin) {
				return true
			}
		}
	}
	return false
}
