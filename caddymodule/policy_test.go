package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// policyKeys is a key file with one key; fields are those of its policy.
func policyKeys(fields string) string {
	if fields != "" {
		fields = ", " + fields
	}
	return fmt.Sprintf("keys:\n  - {id: agent, sha256: %s, agent: \"{env.AGENT_ALPHA}\"%s}\n", sha(tokenAgent), fields)
}

// eachForwardingWithPolicy runs a test with a key that has a policy.
func eachForwardingWithPolicy(t *testing.T, fields, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(policyKeys(fields))
			g.start(fmt.Sprintf(site, g.address, options))
			test(t, g)
		})
	}
}

// policyRequests are requests with the key at endpoints with different error formats.
func policyRequests(g *gate, headers ...string) map[string]response {
	bearer := append([]string{"Authorization", "Bearer " + tokenAgent}, headers...)
	question := `{"question":"q","api_key":"` + tokenAgent + `"}`
	return map[string]response{
		"/stream":              g.send(http.MethodPost, "/stream", question, headers...),
		"/api/answer":          g.send(http.MethodPost, "/api/answer", question, headers...),
		"/v1/chat/completions": g.send(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"q"}]}`, bearer...),
	}
}

func TestPolicyOrigins(t *testing.T) {
	eachForwardingWithPolicy(t, `kind: publishable, origins: ["https://docs.example.com", "https://*.example.org"]`, "", func(t *testing.T, g *gate) {
		for _, origin := range []string{"https://docs.example.com", "https://Docs.Example.com:443", "https://a.b.example.org"} {
			for path, r := range policyRequests(g, "Origin", origin) {
				if r.status != http.StatusOK || r.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(r.header.Get("Vary"), "Origin") {
					t.Errorf("%s from %s: %d, %q, %q: %s", path, origin, r.status, r.header.Get("Access-Control-Allow-Origin"), r.header.Get("Vary"), r.body)
				}
			}
		}
		upstream := len(g.backend.Calls())
		for _, origin := range []string{"https://evil.example", "https://example.org", "https://docs.example.com.", "http://docs.example.com", "null", ""} {
			for path, r := range policyRequests(g, "Origin", origin) {
				if r.status != http.StatusForbidden {
					t.Errorf("%s from %q: %d %s", path, origin, r.status, r.body)
				}
				checkErrorBody(t, path, r, "origin_not_allowed")
				checkCORS(t, path, r, "")
			}
		}
		if n := len(g.backend.Calls()); n != upstream {
			t.Errorf("%d rejected requests reached DocsGPT", n-upstream)
		}
		if g.metric(`caddy_docsgate_auth_decisions_total{endpoint="stream",reason="origin_not_allowed"}`) == "" {
			t.Error("the metric does not count the rejected requests")
		}
		// Browsers ask before they send a key.
		if r := g.send(http.MethodOptions, "/stream", "", "Origin", "https://docs.example.com", "Access-Control-Request-Method", "POST"); r.status != http.StatusNoContent {
			t.Errorf("preflight: %d", r.status)
		} else {
			checkCORS(t, "preflight", r, "https://docs.example.com")
		}
	})
}

func TestPolicySecretKey(t *testing.T) {
	eachForwardingWithPolicy(t, "kind: secret", "", func(t *testing.T, g *gate) {
		for _, headers := range [][]string{nil, {"Sec-Fetch-Mode", "cors"}} { // Node's fetch sends Sec-Fetch-Mode
			for path, r := range policyRequests(g, headers...) {
				if r.status != http.StatusOK {
					t.Errorf("%s from a server with %v: %d %s", path, headers, r.status, r.body)
				}
			}
		}
		for _, headers := range [][]string{{"Origin", "https://docs.example.com"}, {"Origin", "null"}, {"Sec-Fetch-Site", "same-origin"}} {
			for path, r := range policyRequests(g, headers...) {
				if r.status != http.StatusForbidden {
					t.Errorf("%s from a browser with %v: %d %s", path, headers, r.status, r.body)
				}
				checkErrorFormat(t, path, r, "secret_key_in_browser")
			}
		}
		if !strings.Contains(g.logs(), "a browser has presented a secret key") {
			t.Error("the log does not say that the key has leaked")
		}
	})
}

// The address is that of Caddy's trusted proxies, never a header of the client.
func TestPolicyIPs(t *testing.T) {
	for address, want := range map[string]int{"127.0.0.0/8": http.StatusOK, "192.0.2.0/24": http.StatusForbidden} {
		eachForwardingWithPolicy(t, fmt.Sprintf(`ips: [%q]`, address), "", func(t *testing.T, g *gate) {
			for path, r := range policyRequests(g, "X-Forwarded-For", "192.0.2.7") {
				if r.status != want {
					t.Errorf("%s with %s: %d %s", path, address, r.status, r.body)
				}
				if want == http.StatusForbidden {
					checkErrorFormat(t, path, r, "ip_not_allowed")
				}
			}
		})
	}
}

func TestPolicyEndpoints(t *testing.T) {
	eachForwardingWithPolicy(t, "endpoints: [openai]", "", func(t *testing.T, g *gate) {
		for path, r := range policyRequests(g) {
			if path == "/v1/chat/completions" {
				if r.status != http.StatusOK {
					t.Errorf("%s: %d %s", path, r.status, r.body)
				}
				continue
			}
			if r.status != http.StatusForbidden {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
			checkErrorFormat(t, path, r, "endpoint_not_allowed")
		}
	})
}

// The limits of a key override those of the site, one by one.
func TestPolicyRequestSize(t *testing.T) {
	const site = "limits {\nquestion_chars 5\nhistory_turns 1\n}"
	history := `,"history":"[{\"prompt\":\"p1\",\"response\":\"r1\"},{\"prompt\":\"p2\",\"response\":\"r2\"}]"`
	ask := func(g *gate, question string) response {
		return g.send(http.MethodPost, "/api/answer", `{"question":"`+question+`","api_key":"`+tokenAgent+`"`+history+`}`)
	}
	for name, c := range map[string]struct {
		policy    string
		long      int
		forwarded bool // the oldest turn
	}{
		"site":       {"", http.StatusBadRequest, false},
		"key":        {`limits: {question_chars: 100, history_turns: 2}`, http.StatusOK, true},
		"key, off":   {`limits: {question_chars: off, history_turns: "off"}`, http.StatusOK, true},
		"key, fewer": {`limits: {question_chars: 4}`, http.StatusBadRequest, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachForwardingWithPolicy(t, c.policy, site, func(t *testing.T, g *gate) {
				r := ask(g, "longer")
				if r.status != c.long {
					t.Errorf("a long question: %d %s", r.status, r.body)
				}
				if c.long == http.StatusBadRequest {
					checkErrorFormat(t, "/api/answer", r, "question_too_long")
				}
				if r := ask(g, "q"); r.status != http.StatusOK {
					t.Fatalf("a short question: %d %s", r.status, r.body)
				}
				if body := string(g.lastCall().Body); !strings.Contains(body, "p2") || strings.Contains(body, "p1") != c.forwarded {
					t.Errorf("forwarded: %s", body)
				}
			})
		})
	}
}

// An upload whose key comes before the file is authenticated before and after the file.
func TestPolicyOriginsOfUpload(t *testing.T) {
	const origin = "https://docs.example.com"
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(policyKeys(fmt.Sprintf("origins: [%q]", origin)))
			g.start(fmt.Sprintf(fileSite(site), g.address, ""))
			r := g.send(http.MethodPost, "/api/store_attachment", keyPart(tokenAgent)+filePart("a.txt")+"--"+edge+"--\r\n",
				"Content-Type", "", "Content-Type", "multipart/form-data; boundary="+edge, "Origin", origin)
			if vary := r.header["Vary"]; r.status != http.StatusOK || len(vary) != 1 || r.header.Get("Access-Control-Allow-Origin") != origin {
				t.Errorf("%d, Vary %q: %s", r.status, vary, r.body)
			}
		})
	}
}
