package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// Keys that are bound to sources use the account of the gate's credential. Results of that account's tools must not be sent to
// clients, unless the operator allows that.
func TestToolCallEndsResponseOfSourceKey(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		ends := func(name, path, question string, status int, text string) {
			t.Helper()
			r := g.ask(path, tokenSource, question, "")
			if r.status != status || strings.Contains(r.body, docsgpttest.ToolResult) || strings.Contains(r.body, "tool_call") {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
			if !strings.Contains(r.body, `"code":"tools_not_allowed"`) || strings.Contains(r.body, "source=") != (text != "") ||
				!strings.Contains(r.body, text) {
				t.Errorf("%s: %.2000s", name, r.body)
			}
		}
		ends("stream", "/stream", "[[tool=memory]][[gap=60]]", 200, "")
		waitFor(t, "the upstream request is closed", func() bool { return g.backend.OpenStreams() == 0 && g.lastCall().Canceled })
		ends("stream in pieces", "/stream", "[[tool=read_webpage]][[split]][[gap=60]]", 200, "")
		ends("stream after some text", "/stream", "[[latetool=memory]][[gap=0.001]]", 200,
			`{"type":"answer","answer":"\n\nThis question cannot be answered here`)
		ends("answer", "/api/answer", "[[tool=memory]]", 502, "")
		ends("answer too long to be kept otherwise", "/api/answer", "[[big=2000000]][[tool=memory]]", 502, "")
		ends("retrieval and a tool", "/api/answer", "[[tool=internal_search]][[latetool=scheduler]]", 502, "")
		checkErrorFormat(t, "/api/answer", g.ask("/api/answer", tokenSource, "[[tool=memory]]", ""), "tools_not_allowed")

		for _, endpoint := range []string{"stream", "answer"} {
			if g.metric(`caddy_docsgate_upstream_failures_total{code="tools_not_allowed",endpoint="`+endpoint+`"}`) == "" {
				t.Errorf("%s: not counted", endpoint)
			}
		}
		for _, text := range []string{`the model called the tool \"memory\"`, "DEFAULT_CHAT_TOOLS=none", "upstream_tools"} {
			if !strings.Contains(g.logs(), text) {
				t.Errorf("the log does not say %q", text)
			}
		}
		if strings.Contains(g.logs(), docsgpttest.ToolResult) {
			t.Error("the result of the tool is logged")
		}
		assertNoSecrets(t, "the log", g.logs())
	})
}

func TestToolCallAllowedOtherwise(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for name, c := range map[string]struct{ token, question string }{
			"a tool of an agent":         {tokenAgent, "[[tool=memory]]"},
			"retrieval in the sources":   {tokenSource, "[[tool=internal_search]]"},
			"the client's attachments":   {tokenSource, "[[latetool=attachments]]"},
			"no tool":                    {tokenSource, "q"},
			"no tool, and a long answer": {tokenMany, "[[big=2000000]]"},
			"words that speak of one":    {tokenSource, `{\"type\": \"tool_call\", \"data\": {\"tool_name\": \"memory\"}}`},
		} {
			for _, path := range []string{"/stream", "/api/answer"} {
				r := g.ask(path, c.token, strings.ReplaceAll(c.question, `\"`, `"`), "")
				ended := strings.Contains(r.body, `{"type": "end"}`) || path == "/api/answer"
				if r.status != 200 || !ended || !strings.Contains(r.body, "source=") || strings.Contains(r.body, "tools_not_allowed") {
					t.Errorf("%s on %s: %d %.500s", name, path, r.status, r.body)
				}
			}
		}
	})
}

// toolsConfig returns the configuration with a value of upstream_tools.
func (g *gate) toolsConfig(value, site string) string {
	return strings.Replace(g.config(site), "upstream_token", "upstream_tools "+value+"\nupstream_token", 1)
}

func TestToolsAllowed(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			if err := g.load(g.toolsConfig("allow", fmt.Sprintf(site, g.address, ""))); err != nil {
				t.Fatal(err)
			}
			stopAfter(t)
			for _, path := range []string{"/stream", "/api/answer"} {
				if r := g.ask(path, tokenSource, "[[tool=memory]]", ""); r.status != 200 || !strings.Contains(r.body, docsgpttest.ToolResult) {
					t.Errorf("%s: %d %s", path, r.status, r.body)
				}
			}
		})
	}
}

// DocsGPT stores an answer with the results of tools even if it was not read to its end, and sends it to the model with the next
// question of the conversation.
func TestConversationContinuesOnlyAfterCompleteResponse(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		turns := func(token, id string) string {
			t.Helper()
			r := g.ask("/api/answer", token, "q", fmt.Sprintf(`,"conversation_id":%q`, id))
			_, rest, _ := strings.Cut(r.body, "turns=")
			n, _, _ := strings.Cut(rest, " ")
			return n
		}
		for _, path := range []string{"/stream", "/api/answer"} {
			id := g.ask(path, tokenSource, "q", "").conversation(t)
			if n := turns(tokenSource, id); n != "2" {
				t.Errorf("%s: a conversation is not continued: %s", path, n)
			}
			g.ask(path, tokenSource, "[[tool=memory]]", fmt.Sprintf(`,"conversation_id":%q`, id))
			if last := g.lastCall(); !strings.Contains(string(last.Body), `"`+bareID(t, id)+`"`) {
				t.Errorf("%s: the second question is not in the conversation", path)
			}
			if n := turns(tokenSource, id); n != "1" {
				t.Errorf("%s: a conversation with a result of a tool goes on: turn %s", path, n)
			}
		}
		// The ID of the conversation is sent before the tool is called.
		begun := g.ask("/stream", tokenSource, "[[tool=memory]]", "").conversation(t)
		if n := turns(tokenSource, begun); n != "1" {
			t.Errorf("a conversation that began with a call of a tool goes on: turn %s", n)
		}
		// A client that disconnects before the call, or sends another question meanwhile, must not get the result either.
		kept := g.ask("/api/answer", tokenSource, "q", "").conversation(t)
		g.disconnectDuring(tokenSource, kept, func() {
			if n := turns(tokenSource, kept); n != "1" {
				t.Errorf("a conversation continues during an answer: turn %s", n)
			}
		})
		if n := turns(tokenSource, kept); n != "1" {
			t.Errorf("a conversation goes on after an answer that was not read: turn %s", n)
		}
		// Agents have only their own tools, so keys of agents are not affected.
		own := g.ask("/stream", tokenAgent, "[[tool=memory]]", "").conversation(t)
		g.disconnectDuring(tokenAgent, own, func() {})
		if n := turns(tokenAgent, own); n == "1" {
			t.Error("the conversation of an agent's key is lost")
		}
	})
}

// disconnectDuring sends a question in a conversation, calls during when the answer has begun, and disconnects before its end.
func (g *gate) disconnectDuring(token, conversation string, during func()) {
	g.t.Helper()
	ctx, cancel := context.WithCancel(g.t.Context())
	defer cancel()
	body := fmt.Sprintf(`{"question":"[[gap=60]]","history":"[]","api_key":%q,"conversation_id":%q}`, token, conversation)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+"/stream", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan() && !strings.Contains(lines.Text(), `"type": "answer"`); {
	}
	during()
	cancel()
	waitFor(g.t, "the backend has detected the disconnect", func() bool { return g.backend.OpenStreams() == 0 })
}

func TestToolsWarningLoggedOnce(t *testing.T) {
	const warning = "DocsGPT may offer the model tools of that account"
	site := forwardModes["built-in"]
	for name, c := range map[string]struct {
		change func(g *gate, config string) string
		want   int
	}{
		"nothing said": {func(_ *gate, config string) string { return config }, 1},
		"none":         {func(g *gate, _ string) string { return g.toolsConfig("none", fmt.Sprintf(site, g.address, "")) }, 0},
		"allow":        {func(g *gate, _ string) string { return g.toolsConfig("allow", fmt.Sprintf(site, g.address, "")) }, 0},
		"a DocsGPT without accounts": {func(g *gate, config string) string {
			g.writeAgentKeyOnly()
			config = strings.Replace(config, "upstream_token", "docsgpt_version 0.13\nupstream_token", 1)
			return strings.Replace(config, "endpoints widget openai health", "endpoints widget", 1)
		}, 0},
		"no credential": {func(g *gate, config string) string {
			g.writeAgentKeyOnly()
			return strings.Replace(config, "upstream_token {env.DOCSGPT_TOKEN}", "", 1)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			config := c.change(g, g.config(fmt.Sprintf(site, g.address, "")))
			for range 3 {
				if err := g.load(config); err != nil {
					t.Fatal(err)
				}
			}
			stopAfter(t)
			if n := strings.Count(g.logs(), warning); n != c.want {
				t.Errorf("warned %d times", n)
			}
			if c.want > 0 && !strings.Contains(g.logs(), "DEFAULT_CHAT_TOOLS=none") {
				t.Error("the warning does not say how to fix it")
			}
		})
	}
}

// writeAgentKeyOnly writes a key file without keys that are bound to sources.
func (g *gate) writeAgentKeyOnly() {
	g.writeKeys(fmt.Sprintf("keys:\n  - {id: agent, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenAgent)))
}
