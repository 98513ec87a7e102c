package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/policy"
)

// A site without the block has the default limits, and a block overrides them one by one.
func TestDefaultLimits(t *testing.T) {
	const byDefault = `"visitor";q=300;w=60`
	for name, c := range map[string]struct {
		policy, options string
		want            string // RateLimit-Policy
	}{
		"default":                                    {"", "", byDefault},
		"another limit of the site":                  {"", "limits {\nquestion_chars 100\n}", byDefault},
		"another limit of the key":                   {"limits: {question_chars: 100}", "", byDefault},
		"the same limit of the site":                 {"", "limits {\nvisitor_requests 5/1h\n}", `"visitor";q=5;w=3600`},
		"the same limit of the key":                  {"limits: {visitor_requests: 5/1h}", "", `"visitor";q=5;w=3600`},
		"off for the site":                           {"", "limits off", ""},
		"off for the site, one by one":               {"", "limits {\nvisitor_requests off\n}", ""},
		"off for the key":                            {"limits: {visitor_requests: off}", "", ""},
		"off for the site, on for the key":           {"limits: {visitor_requests: 5/1h}", "limits off", `"visitor";q=5;w=3600`},
		"a key of a page":                            {`kind: publishable, origins: ["*"]`, "", byDefault},
		"a key of a server":                          {"kind: secret", "", ""},
		"a key of a server with a limit of the site": {"kind: secret", "limits {\nvisitor_requests 5/1h\n}", `"visitor";q=5;w=3600`},
	} {
		t.Run(name, func(t *testing.T) {
			g := startWithKeys(t, policyKeys(c.policy), c.options)
			if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK || r.header.Get("RateLimit-Policy") != c.want {
				t.Errorf("%d, RateLimit-Policy %q, want %q", r.status, r.header.Get("RateLimit-Policy"), c.want)
			}
		})
	}
}

// The default holds for a visitor, and does not affect others.
func TestDefaultLimitOfVisitor(t *testing.T) {
	g := startWithKeys(t, policyKeys(""), "")
	defaults := policy.DefaultLimits()
	for range defaults.VisitorRequests.Rate().Count {
		if r := g.send(http.MethodPost, "/api/search", `{"question":"q","api_key":"`+tokenAgent+`"}`); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	limited := false
	for range 20 { // one is replenished every 200 ms
		limited = limited || g.ask("/api/search", tokenAgent, "q", "").status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("the visitor is not limited")
	}
	if r := g.askFrom("127.0.0.2", "q"); r.status != http.StatusOK {
		t.Errorf("another visitor: %d %s", r.status, r.body)
	}
}

// Visitors behind a proxy that Caddy does not trust have the same address.
func TestLimitBehindUntrustedProxy(t *testing.T) {
	const hint = "trusted_proxies is set"
	for name, servers := range map[string]string{"not trusted": "", "trusted": "trusted_proxies static 127.0.0.0/8"} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.servers = servers
			g.start(fmt.Sprintf(forwardModes["built-in"], g.address, "limits {\nvisitor_requests 1/1h\n}"))
			for range 2 {
				g.send(http.MethodPost, "/api/answer", `{"question":"q","api_key":"`+tokenAgent+`"}`, "X-Forwarded-For", "192.0.2.1")
			}
			if logged := strings.Contains(g.logs(), hint); logged != (servers == "") {
				t.Errorf("the log names trusted_proxies: %t", logged)
			}
		})
	}
}

// The visitors of a secret key, who have signed tokens, are limited by default; its server is not.
func TestDefaultLimitsOfSignedVisitors(t *testing.T) {
	eachForwardingWithVisitors(t, "optional", "kind: secret", "", func(t *testing.T, g *gate) {
		for token, want := range map[string]string{sign(t, visitorRequest("v1"), time.Now()): `"visitor";q=300;w=60`, tokenAgent: ""} {
			if r := g.ask("/api/answer", token, "q", ""); r.status != http.StatusOK || r.header.Get("RateLimit-Policy") != want {
				t.Errorf("%d, RateLimit-Policy %q, want %q", r.status, r.header.Get("RateLimit-Policy"), want)
			}
		}
	})
}
