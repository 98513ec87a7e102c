package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// accessLine returns the line of the access log about the request with a response.
func (g *gate) accessLine(r response) string {
	g.t.Helper()
	line, id := "", fmt.Sprintf(`"request_id":%q`, r.header.Get("X-Request-Id"))
	waitFor(g.t, "the request is logged", func() bool {
		for l := range strings.Lines(g.logs()) {
			if strings.Contains(l, `"logger":"http.log.access`) && strings.Contains(l, id) {
				line = l
			}
		}
		return line != ""
	})
	return line
}

// The line of the access log says why DocsGPT's request failed, also when the message about that is suppressed.
func TestAccessLogOfUpstreamErrors(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for range 2 {
			for question, want := range map[string]string{
				"[[fail=429]]": `"docsgate":{"reason":"upstream_limit","request_id":"%s","upstream_status":429}`,
				"[[fail=500]]": `"docsgate":{"reason":"upstream_error","request_id":"%s","upstream_status":500}`,
				"[[cut]]":      `"docsgate":{"reason":"upstream_truncated","request_id":"%s","upstream_status":200}`,
			} {
				r := g.ask("/stream", tokenAgent, question, "")
				want = fmt.Sprintf(want, r.header.Get("X-Request-Id"))
				if line := g.accessLine(r); !strings.Contains(line, want) {
					t.Errorf("%s: want %s in %s", question, want, line)
				}
			}
		}
	})
}

// The log says that a client has made a mistake that the operator can recognize. The client gets the same error as for any token.
func TestAccessLogOfMisplacedTokens(t *testing.T) {
	g := newGate(t)
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
	const native, openAI = `{"question":"q","history":"[]"}`, `{"messages":[{"role":"user","content":"q"}]}`
	body := ""
	for _, c := range []struct {
		name, path, body string
		headers          []string
		want             string
	}{
		{"nothing", "/stream", native, nil, "no_token"},
		{"nothing for OpenAI", "/v1/chat/completions", openAI, nil, "no_token"},
		{"bearer in place of the body", "/stream", native, []string{"Authorization", "Bearer " + tokenAgent}, "misplaced_token"},
		{"query in place of the body", "/stream?api_key=" + tokenAgent, native, nil, "misplaced_token"},
		{"X-API-Key", "/v1/chat/completions", openAI, []string{"X-Api-Key", tokenAgent}, "misplaced_token"},
		{"no scheme", "/v1/chat/completions", openAI, []string{"Authorization", tokenAgent}, "misplaced_token"},
		{"an ID", "/stream", `{"question":"q","history":"[]","api_key":"agent"}`, nil, "key_id_as_token"},
		{"an unknown token", "/stream", `{"question":"q","history":"[]","api_key":"another"}`, nil, "unknown_token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := g.send(http.MethodPost, c.path, c.body, c.headers...)
			line := g.accessLine(r)
			if want := fmt.Sprintf(`"docsgate":{"reason":%q,`, c.want); r.status != http.StatusUnauthorized || !strings.Contains(line, want) {
				t.Errorf("status %d, want %s in %s", r.status, want, line)
			}
			same := strings.ReplaceAll(r.body, r.header.Get("X-Request-Id"), "")
			if strings.HasPrefix(c.path, "/stream") {
				if body != "" && same != body {
					t.Errorf("the response differs: %s, not %s", same, body)
				}
				body = same
			}
		})
	}
}

// A token that was replaced has its own reason, also without a grace period. Its client gets the error of an unknown token.
func TestAccessLogOfReplacedToken(t *testing.T) {
	g := newGate(t)
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
	if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	g.writeKeys(strings.Replace(keyFile(), sha(tokenAgent), sha("its next token"), 1))
	waitFor(t, "the token is replaced", func() bool { return g.ask("/stream", tokenAgent, "q", "").status == http.StatusUnauthorized })
	unknown, replaced := g.ask("/stream", "another-token", "q", ""), g.ask("/stream", tokenAgent, "q", "")
	if line := g.accessLine(replaced); !strings.Contains(line, `"docsgate":{"reason":"replaced_token",`) || !strings.Contains(line, `"user_id":"agent"`) {
		t.Error(line)
	}
	if line := g.accessLine(unknown); !strings.Contains(line, `"docsgate":{"reason":"unknown_token",`) {
		t.Error(line)
	}
	for _, r := range []*response{&unknown, &replaced} {
		r.body = strings.ReplaceAll(r.body, r.header.Get("X-Request-Id"), "")
		r.header.Del("X-Request-Id")
		r.header.Del("Date")
	}
	if unknown.body != replaced.body || fmt.Sprint(unknown.header) != fmt.Sprint(replaced.header) {
		t.Errorf("%v %s, not %v %s", replaced.header, replaced.body, unknown.header, unknown.body)
	}
	if n := g.metric(`caddy_docsgate_auth_decisions_total{endpoint="stream",reason="replaced_token"}`); n == "" {
		t.Error("no metric")
	}
}
