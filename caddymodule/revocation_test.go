package caddymodule_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// revocationRequests are slow requests in each format, and what their clients get when the key stops being valid.
var revocationRequests = map[string]struct {
	path, body string
	bearer     bool
	status     int
	want       []string
}{
	"stream, before its header": {"/stream", policyQuestion("[[wait=600]]"), false, 401, []string{`data: {"type":"error"`}},
	"stream, begun":             {"/stream", policyQuestion("[[gap=600]]"), false, 200, []string{`data: {"type":"error"`, "interrupted"}},
	"answer":                    {"/api/answer", policyQuestion("[[wait=600]]"), false, 401, []string{`"error":"The API key is no longer valid`}},
	"v1":                        {"/v1/chat/completions", chatQuestion(false, "[[wait=600]]"), true, 401, []string{`{"error":{"message":`}},
	"v1 stream":                 {"/v1/chat/completions", chatQuestion(true, "[[gap=600]]"), true, 200, []string{`data: {"error":{"message":`}},
}

func policyQuestion(text string) string {
	return fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, text, tokenAgent)
}

func chatQuestion(stream bool, text string) string {
	return fmt.Sprintf(`{"model":"docsgpt","stream":%v,"messages":[{"role":"user","content":%q}]}`, stream, text)
}

// When a key stops being valid, its requests in flight end with an error in the format of their client, and so do the requests to DocsGPT.
func TestRevocationEndsRequests(t *testing.T) {
	for name, c := range revocationRequests {
		t.Run(name, func(t *testing.T) {
			eachForwardingWithPolicy(t, "", "", func(t *testing.T, g *gate) {
				var headers []string
				if c.bearer {
					headers = []string{"Authorization", "Bearer " + tokenAgent}
				}
				finish := g.startRequest(c.path, c.body, headers...)
				if c.status == http.StatusOK {
					waitFor(t, "the stream has begun", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "1" })
				}
				g.writeKeys("keys: []\n")
				r := finish()
				g.waitForRequests(0)
				if r.status != c.status {
					t.Errorf("%d %s", r.status, r.body)
				}
				for _, want := range append(c.want, `"code":"key_revoked"`) {
					if !strings.Contains(r.body, want) {
						t.Errorf("%q is not in %s", want, r.body)
					}
				}
				if log := g.logs(); strings.Contains(log, "DocsGPT request failed") {
					t.Error("the upstream is blamed")
				}
				assertNoSecrets(t, "the log", g.logs())
			})
		})
	}
}

// Each kind of change that makes a key invalid for a client ends its stream; other changes do not.
func TestRevocationCauses(t *testing.T) {
	for name, c := range map[string]struct {
		change string // fields of the key
		ends   bool
	}{
		"disabled":             {"state: disabled", true},
		"expired":              {"expires: 2020-01-01T00:00:00Z", true},
		"origins narrowed":     {`origins: ["https://other.example"]`, true},
		"networks narrowed":    {`ips: ["192.0.2.0/24"]`, true},
		"endpoints narrowed":   {"endpoints: [openai]", true},
		"secret, from a page":  {"kind: secret", true},
		"origins still allow":  {`origins: ["https://docs.example.com"]`, false},
		"another name":         {"name: Another", false},
		"a limit that is used": {"limits: {requests: 1/1h}", false},
	} {
		t.Run(name, func(t *testing.T) {
			eachForwardingWithPolicy(t, "", "", func(t *testing.T, g *gate) {
				finish := g.startRequest("/stream", policyQuestion("[[gap=1]]"), "Origin", "https://docs.example.com")
				waitFor(t, "the stream has begun", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "1" })
				g.writeKeys(policyKeys(c.change))
				r := finish()
				if ended := strings.Contains(r.body, `"code":"key_revoked"`); ended != c.ends {
					t.Errorf("ended: %v, want %v: %s", ended, c.ends, r.body)
				}
			})
		})
	}
}

// A stream ends when its key expires, without a change of the keys.
func TestExpiryEndsStream(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		g.writeKeys(policyKeys("expires: " + time.Now().UTC().Add(2*time.Second).Format(time.RFC3339)))
		waitFor(t, "the key expires", func() bool { return strings.Contains(g.logs(), `"updated":1`) })
		r := g.startRequest("/stream", policyQuestion("[[gap=600]]"))()
		if !strings.Contains(r.body, `"code":"key_revoked"`) {
			t.Errorf("%d %s", r.status, r.body)
		}
		g.waitForRequests(0)
	})
}

// MCP calls and listening streams of a key end with it.
func TestRevocationEndsMCP(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		id := g.session(tokenAgent)
		finish := g.startRequest("/mcp", toolCall("[[wait=600]]"), g.mcpHeaders(tokenAgent, id)...)
		g.writeKeys("keys: []\n")
		checkRPC(t, "a call", finish(), http.StatusUnauthorized, -32001, "key_revoked")
		g.waitForRequests(0)
	})
}

// A reload with another key file ends the streams of keys that it does not contain, and no others.
func TestReloadWithOtherKeys(t *testing.T) {
	for name, c := range map[string]struct {
		keys string
		ends bool
	}{
		"with the key":    {policyKeys(""), false},
		"without the key": {"keys: []\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			eachForwardingWithPolicy(t, "", "", func(t *testing.T, g *gate) {
				finish := g.startRequest("/stream", policyQuestion("[[gap=2]]"))
				waitFor(t, "the stream has begun", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "1" })
				g.keys = filepath.Join(g.dir, "other.yaml")
				g.writeKeys(c.keys)
				g.start()
				r := finish()
				if ended := strings.Contains(r.body, `"code":"key_revoked"`); ended != c.ends {
					t.Errorf("ended: %v, want %v: %s", ended, c.ends, r.body)
				}
			})
		})
	}
}
