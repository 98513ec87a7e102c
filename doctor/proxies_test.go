package doctor

import (
	"net/http"
	"strings"
	"testing"
)

func TestProxies(t *testing.T) {
	for name, c := range map[string]struct{ header, value, want string }{
		"Caddy":               {"Server", "Caddy", ""},
		"Caddy in front":      {"Via", "1.1 Caddy", ""},
		"Cloudflare":          {"Cf-Ray", "8f1c-FRA", "Cloudflare"},
		"Cloudflare's server": {"Server", "cloudflare", "Cloudflare"},
		"CloudFront":          {"X-Amz-Cf-Id", "abc", "CloudFront"},
		"a load balancer":     {"Server", "awselb/2.0", "AWS"},
		"its cookie":          {"Set-Cookie", "AWSALBCORS=x; Path=/", "AWS"},
		"Fastly":              {"X-Served-By", "cache-fra-etou8220045-FRA", "Fastly"},
		"Azure":               {"X-Azure-Ref", "0abc", "Azure"},
		"Google":              {"Via", "1.1 google", "Google"},
		"nginx":               {"Server", "nginx/1.27.1", "nginx"},
		"another proxy":       {"Via", "1.1 squid", "1.1 squid"},
	} {
		t.Run(name, func(t *testing.T) {
			x := &runner{outside: newTarget("https://ask.example.com", nil), named: true, corsResponses: []corsResponse{
				{header: http.Header{"Server": {"Caddy"}}}, {header: http.Header{c.header: {c.value}}},
			}}
			x.checkProxies(t.Context())
			want := OK
			if c.want != "" {
				want = Warning
			}
			if len(x.Findings) != 1 || x.Findings[0].Severity != want || !strings.Contains(x.Findings[0].Summary, c.want) {
				t.Errorf("%+v", x.Findings)
			}
		})
	}
}

func TestFindingText(t *testing.T) {
	var r report
	r.fail("config.loads", "It does not load:\n  line one,\r\n\n\tline two\n", "")
	r.fail("config.loads", "begin "+strings.Repeat("é", maxText)+" end", "")
	if got := r.Findings[0].Summary; got != "It does not load: line one, line two" {
		t.Errorf("%q", got)
	}
	if got := r.Findings[1].Summary; len(got) > maxText+10 || !strings.HasPrefix(got, "begin é") || !strings.HasSuffix(got, "é end") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

// A gate below a path is checked there, and not at all if the path is unknown.
func TestGateBelowPath(t *testing.T) {
	site := Site{Hosts: []string{"ask.example.com"}, Listen: []string{":443"}, TLS: Yes}
	for name, c := range map[string]struct {
		gate Gate
		url  string
		want string
	}{
		"on this machine": {Gate{Site: site, Path: "/docs"}, "", "https://ask.example.com:443/docs"},
		"--url":           {Gate{Site: site, Path: "/docs"}, "https://ask.example.com/", "https://ask.example.com/docs"},
		"--url with path": {Gate{Site: site, Path: "/docs"}, "https://ask.example.com/docs/", "https://ask.example.com/docs"},
		"another host":    {Gate{Site: site, Path: "/docs"}, "https://other.example.com", "https://other.example.com"},
		"unknown":         {Gate{Site: site, PathUnknown: true}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := &runner{input: Input{Config: "Caddyfile", Gates: []Gate{c.gate}}, opts: Options{URL: c.url}}
			x.findGate()
			got := ""
			if x.outside != nil {
				got = x.outside.base
			}
			if got != c.want {
				t.Errorf("checked at %q, want %q", got, c.want)
			}
		})
	}
}
