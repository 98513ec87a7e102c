package caddymodule_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// checkFailedTokens checks the response to an unknown token over the limit.
func checkFailedTokens(t *testing.T, path string, r response) {
	t.Helper()
	checkErrorFormat(t, path, r, "rate_limited")
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if r.status != http.StatusTooManyRequests || err != nil || seconds < 1 || !strings.Contains(r.body, "try again in "+waitWords(seconds)+".") {
		t.Errorf("%s: %d, Retry-After %q: %s", path, r.status, r.header.Get("Retry-After"), r.body)
	}
}

func TestFailedTokens(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.start(fmt.Sprintf(site, g.address, "limits {\nfailed_tokens 3/1h\n}"))
			unknown := 0
			guess := func(path string) response {
				unknown++
				token := "unknown-token-" + strconv.Itoa(unknown)
				if path == "/v1/models" {
					return g.send(http.MethodGet, path, "", "Authorization", "Bearer "+token)
				}
				return g.ask(path, token, "q", "")
			}
			for range 2 { // a key in use is cached
				if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK {
					t.Fatalf("%d %s", r.status, r.body)
				}
				time.Sleep(20 * time.Millisecond) // the cache takes new keys asynchronously
			}
			// A key that is known, but not valid, is not a guess, and neither is a request without a token.
			for range 5 {
				for _, token := range []string{tokenOff, tokenOld, ""} {
					checkErrorFormat(t, "/api/answer", g.ask("/api/answer", token, "q", ""), "invalid_api_key")
				}
			}
			for _, path := range []string{"/stream", "/v1/models", "/api/search"} {
				checkErrorFormat(t, path, guess(path), "invalid_api_key")
			}
			before := len(g.backend.Calls())
			for _, path := range []string{"/stream", "/api/answer", "/v1/models", "/api/search"} {
				checkFailedTokens(t, path, guess(path))
			}
			checkFailedTokens(t, "/api/answer", g.ask("/api/answer", tokenSource, "q", "")) // not in use, so not distinguished
			if n := len(g.backend.Calls()); n != before {
				t.Errorf("%d rejected requests reached DocsGPT", n-before)
			}
			if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK {
				t.Errorf("a key in use: %d %s", r.status, r.body)
			}
			if r := g.askFrom("127.0.0.2", "q"); r.status != http.StatusOK {
				t.Errorf("another address: %d %s", r.status, r.body)
			}
			if g.metric(`caddy_docsgate_auth_decisions_total{endpoint="stream",reason="rate_limited"}`) == "" {
				t.Error("the metric does not count the rejected tokens")
			}
		})
	}
}

func TestFailedTokensOff(t *testing.T) {
	for name, options := range map[string]string{
		"off": "limits {\nfailed_tokens off\n}", "all limits off": "limits off", "dry run": "limits {\nfailed_tokens 3/1h\ndry_run failed_tokens\n}",
	} {
		t.Run(name, func(t *testing.T) {
			g := startWithKeys(t, keyFile(), options)
			before := g.wouldReject("rate_limited")
			for i := range 100 {
				checkErrorFormat(t, "/api/answer", g.ask("/api/answer", "unknown-token-"+strconv.Itoa(i), "q", ""), "invalid_api_key")
			}
			if n := g.wouldReject("rate_limited") - before; n != map[string]int{"dry run": 97}[name] {
				t.Errorf("%d tokens would have been rejected", n)
			}
		})
	}
}

func TestFailedTokensByDefault(t *testing.T) {
	g := startWithKeys(t, keyFile(), "")
	limited := 0
	for i := range 80 {
		if r := g.ask("/api/answer", "unknown-token-"+strconv.Itoa(i), "q", ""); r.status == http.StatusTooManyRequests {
			limited++
		} else if i < 60 {
			checkErrorFormat(t, "/api/answer", r, "invalid_api_key")
		}
	}
	if limited == 0 {
		t.Error("the address is not limited")
	}
}
