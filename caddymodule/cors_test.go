package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// preflight sends the preflight of a question from a page.
func (g *gate) preflight(path, origin string) response {
	g.t.Helper()
	return g.send(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "content-type")
}

// checkCORS checks which origin may read a response ("": none), and that caches know that it depends on the origin.
func checkCORS(t *testing.T, what string, r response, origin string) {
	t.Helper()
	var want []string
	if origin != "" {
		want = []string{origin}
	}
	if got := r.header["Access-Control-Allow-Origin"]; !slices.Equal(got, want) {
		t.Errorf("%s (%d): Access-Control-Allow-Origin %q, want %q", what, r.status, got, want)
	}
	if vary := strings.Join(r.header["Vary"], ", "); strings.Count(vary, "Origin") != map[bool]int{true: 0, false: 1}[origin == "*"] {
		t.Errorf("%s (%d): Vary %q", what, r.status, vary)
	}
}

// twoPages is a key file with keys for two pages.
func twoPages(more string) string {
	return policyKeys(`origins: ["https://docs.example.com", "https://*.example.org", "https://bücher.example", "http://[::1]:3000", "http://192.0.2.1"]`) +
		fmt.Sprintf("  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\", origins: [\"https://other.example\"]}\n", sha(tokenSource)) + more
}

// startWithKeys starts a gate with a key file.
func startWithKeys(t *testing.T, keys, options string) *gate {
	t.Helper()
	g := newGate(t)
	g.writeKeys(keys)
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, options))
	return g
}

// Preflights have no token, so they are answered from the origins of all keys.
func TestPreflightOrigins(t *testing.T) {
	g := startWithKeys(t, twoPages(""), "")
	for origin, allowed := range map[string]bool{
		"https://docs.example.com": true, "https://Docs.Example.COM": true, "https://docs.example.com:443": true, "https://other.example": true,
		"https://a.example.org": true, "https://a.b.c.example.org": true, "https://xn--bcher-kva.example": true, "https://XN--bcher-kva.example": true,
		"http://[::1]:3000": true, "http://192.0.2.1": true, "http://192.0.2.1:80": true,

		"https://evil.example": false, "https://example.org": false, "https://.example.org": false, "https://aexample.org": false,
		"https://a.example.org.evil.example": false, "https://docs.example.com.evil.example": false, "https://evil.example/.example.org": false,
		"https://a.example.org.": false, "https://docs.example.com.": false, "https://docs.example.com:8443": false, "http://docs.example.com": false,
		"https://docs.example.com:0443": false, "https://docs.example.com@evil.example": false, "https://evil.example#.example.org": false,
		"https://evil.example\\.example.org": false, "https://*.example.org": false, "*": false, "null": false, "https://bücher.example": false,
		"http://[::1]": false, "http://[::1]:3001": false, "http://[0:0:0:0:0:0:0:1]:3000": false, "http://[::ffff:192.0.2.1]": false,
		"http://192.0.2.1.": false, "http://1.192.0.2.1": false, "https://docs.example.com https://evil.example": false, "": false,
	} {
		for _, path := range []string{"/stream", "/api/answer", "/v1/chat/completions", "/v1/unknown"} {
			r := g.preflight(path, origin)
			if r.status != http.StatusNoContent {
				t.Errorf("%s from %q: %d", path, origin, r.status)
			}
			if allowed {
				checkCORS(t, path+" from "+origin, r, origin)
			} else {
				checkCORS(t, path+" from "+origin, r, "")
			}
		}
		// The request is decided by the key that it has.
		if r := g.send(http.MethodPost, "/api/answer", `{"question":"q","api_key":"`+tokenSource+`"}`, "Origin", origin); origin == "https://other.example" {
			checkCORS(t, "a page of the key", r, origin)
		} else {
			checkCORS(t, "a page of another key: "+origin, r, "")
			checkErrorBody(t, "/api/answer", r, "origin_not_allowed")
		}
	}
	// A key without origins allows any, and the answer changes with the keys.
	g.writeKeys(twoPages(fmt.Sprintf("  - {id: open, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenMany))))
	waitFor(t, "any page is allowed", func() bool {
		return g.preflight("/stream", "https://evil.example").header.Get("Access-Control-Allow-Origin") == "*"
	})
	g.writeKeys(twoPages(""))
	waitFor(t, "other pages are not allowed", func() bool {
		return g.preflight("/stream", "https://evil.example").header.Get("Access-Control-Allow-Origin") == ""
	})
}

// A page can read every error of a key that it may use, and none of a key that it may not use.
func TestErrorsCORS(t *testing.T) {
	const docs, evil = "https://docs.example.com", "https://evil.example"
	open := fmt.Sprintf("  - {id: open, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenMany))
	off := fmt.Sprintf("  - {id: off, sha256: %s, agent: \"{env.AGENT_ALPHA}\", state: disabled, origins: [%q]}\n", sha(tokenOff), docs)
	networks := fmt.Sprintf("  - {id: networks, sha256: %s, agent: \"{env.AGENT_ALPHA}\", origins: [%q], ips: [192.0.2.1]}\n", sha(tokenOld), docs)
	for name, c := range map[string]struct{ keys, others string }{
		"only restricted keys":    {twoPages(off + networks), ""},
		"a key that allows pages": {twoPages(off + networks + open), "*"},
	} {
		t.Run(name, func(t *testing.T) {
			g := startWithKeys(t, c.keys, "limits {\nquestion_chars 5\n}")
			ask := func(token, origin string) response {
				return g.send(http.MethodPost, "/stream", `{"question":"a long question","api_key":"`+token+`"}`, "Origin", origin)
			}
			for code, token := range map[string]string{
				"question_too_long": tokenAgent, "invalid_api_key": tokenOff, "ip_not_allowed": tokenOld,
			} {
				r := ask(token, docs)
				checkErrorBody(t, "/stream", r, code)
				checkCORS(t, code, r, docs)
				checkCORS(t, code+" on a foreign page", ask(token, evil), "")
				checkCORS(t, code+" without a page", ask(token, ""), "")
			}
			// Without a key, the pages of all keys can read the error.
			for what, send := range map[string]func(origin string) response{
				"unknown token": func(origin string) response { return ask("unknown", origin) },
				"no token": func(origin string) response {
					return g.send(http.MethodPost, "/v1/chat/completions", "{}", "Origin", origin)
				},
				"invalid body":   func(origin string) response { return g.send(http.MethodPost, "/stream", "{", "Origin", origin) },
				"invalid method": func(origin string) response { return g.send(http.MethodPut, "/stream", "", "Origin", origin) },
				"unknown path":   func(origin string) response { return g.send(http.MethodGet, "/v1/unknown", "", "Origin", origin) },
				"health":         func(origin string) response { return g.send(http.MethodGet, "/api/health", "", "Origin", origin) },
			} {
				want := docs
				if c.others != "" {
					want = c.others
				}
				checkCORS(t, what, send(docs), want)
				checkCORS(t, what+" on a foreign page", send(evil), c.others)
			}
		})
	}
}
