package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Caddy's header and request_header replace values in place. A replacement on one site must neither change the header of another
// site's responses and requests, nor race with them.
func TestReplacedHeadersAreNotShared(t *testing.T) {
	const replaced = "replaced-by-a-site"
	var response, request strings.Builder
	for _, name := range []string{
		"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers",
		"Access-Control-Max-Age", "Allow", "Cache-Control", "Connection", "Content-Type", "RateLimit", "RateLimit-Policy", "WWW-Authenticate",
		"X-Accel-Buffering", "X-Content-Type-Options", "X-Request-Id", "X-Should-Retry",
	} {
		fmt.Fprintf(&response, ">%s (.+) %s\n", name, replaced)
	}
	for _, name := range []string{"Accept-Encoding", "Content-Type"} {
		fmt.Fprintf(&request, "request_header %s (.+) \"$1; %s\"\n", name, replaced)
	}
	g := newGate(t)
	const site = "route {\n%sdocsgate {\nendpoints widget openai mcp\n}\n%sreverse_proxy %s\n}\n"
	g.start(
		fmt.Sprintf(site, "header {\n"+response.String()+"}\n", request.String(), g.address),
		fmt.Sprintf(site, "", "", g.address),
	)
	question := func(token string) string { return fmt.Sprintf(`{"question":"?","history":"[]","api_key":%q}`, token) }
	requests := []func(url string) http.Header{
		func(url string) http.Header {
			return g.sendTo(url, http.MethodPost, "/stream", question(tokenAgent)).header
		},
		func(url string) http.Header {
			return g.sendTo(url, http.MethodPost, "/api/answer", question(tokenAgent)).header
		},
		func(url string) http.Header {
			return g.sendTo(url, http.MethodPost, "/stream", question("unknown")).header
		},
		func(url string) http.Header {
			return g.sendTo(url, http.MethodPost, "/v1/chat/completions", `{"messages":[]}`, "Authorization", "Bearer unknown").header
		},
		func(url string) http.Header {
			return g.sendTo(url, http.MethodOptions, "/stream", "", "Origin", "https://a.example", "Access-Control-Request-Method", "POST").header
		},
		func(url string) http.Header { return g.sendTo(url, http.MethodGet, "/api/user", "").header },
		func(url string) http.Header {
			return g.sendTo(url, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`, "Authorization", "Bearer "+tokenAgent).header
		},
	}
	var wg sync.WaitGroup
	for _, send := range requests {
		wg.Go(func() {
			for range 20 {
				send(g.urls[0])
			}
		})
		wg.Go(func() {
			for range 20 {
				if h := fmt.Sprint(send(g.urls[1])); strings.Contains(h, replaced) {
					t.Errorf("the header of the other site is %s", h)
					return
				}
			}
		})
	}
	wg.Wait()
	g.sendTo(g.urls[1], http.MethodPost, "/stream", question(tokenAgent))
	if h := fmt.Sprint(g.lastCall().Header); strings.Contains(h, replaced) {
		t.Errorf("the header of the other site's request is %s", h)
	}
	if h := requests[0](g.urls[0]); h.Get("Cache-Control") != replaced {
		t.Errorf("the site replaces nothing: %v", h)
	}
}
