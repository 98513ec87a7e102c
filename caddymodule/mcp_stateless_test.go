package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// sendStateless sends a request of an MCP client without a session.
func (g *gate) sendStateless(token, method, params string, headers ...string) response {
	g.t.Helper()
	body := `{"jsonrpc":"2.0","id":5,"method":"` + method + `","params":{` + params + `"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	return g.message(token, "", body, append([]string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method}, headers...)...)
}

const searchParams = `"name":"search_docs","arguments":{"query":"reset"},`

// Each request of the protocol without sessions has its key, which is replaced in each of them.
func TestStatelessMCPClient(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		r := g.sendStateless(tokenAgent, "server/discover", "")
		var found struct {
			Result struct {
				SupportedVersions []string
				Capabilities      map[string]any
			}
		}
		if err := json.Unmarshal([]byte(r.body), &found); err != nil || r.status != http.StatusOK {
			t.Fatalf("%d %s: %v", r.status, r.body, err)
		}
		if c := found.Result.Capabilities; len(c) != 1 || c["tools"] == nil || len(found.Result.SupportedVersions) != 1 {
			t.Errorf("got %+v", found.Result)
		}
		if m := g.sendStateless(tokenAgent, "tools/list", "").rpc(t); m.Result == nil || len(m.Result.Tools) != 1 {
			t.Errorf("tools: %+v", m)
		}
		r = g.sendStateless(tokenAgent, "tools/call", searchParams, "Mcp-Name", "search_docs")
		if m := r.rpc(t); m.Result == nil || m.Result.IsError || !strings.Contains(m.Result.Content[0].Text, "alpha") {
			t.Errorf("call: %d %s", r.status, r.body)
		}
		if id := r.header.Get("Mcp-Session-Id"); id != "" {
			t.Errorf("got the session %s", id)
		}
		call := g.lastCall()
		for name, want := range map[string]string{
			"Authorization": "Bearer " + agentAlpha, "Mcp-Session-Id": "", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
			"Mcp-Name": "search_docs",
		} {
			if got := call.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	})
}

func TestStatelessMCPErrors(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		foreign := g.session(tokenOther)
		g.backend.Reset()
		checkRPC(t, "no key", g.sendStateless("nobody", "tools/list", ""), http.StatusUnauthorized, -32001, "invalid_api_key")
		checkRPC(t, "source key", g.sendStateless(tokenSource, "tools/list", ""), http.StatusForbidden, -32001, "binding_not_supported")
		checkRPC(t, "no method in the header", g.sendStateless(tokenAgent, "tools/list", "", "Mcp-Method", ""), 400, -32020, "header_mismatch")
		checkRPC(t, "two versions", g.sendStateless(tokenAgent, "tools/list", "", "Mcp-Protocol-Version", "2025-11-25"), 400, -32600, "bad_request")
		checkRPC(t, "another version", g.message(tokenAgent, "", toolsList, "Mcp-Protocol-Version", "2027-01-01"), 400, -32022, "unsupported_protocol")
		checkRPC(t, "another session", g.sendStateless(tokenAgent, "tools/list", "", "Mcp-Session-Id", foreign), 404, -32001, "session_not_found")
		checkRPC(t, "ping", g.sendStateless(tokenAgent, "ping", ""), http.StatusNotFound, -32601, "method_not_found")
		checkRPC(t, "a listener", g.sendStateless(tokenAgent, "subscriptions/listen", ""), http.StatusNotFound, -32601, "method_not_found")
		checkRPC(t, "another tool", g.sendStateless(tokenAgent, "tools/call", strings.Replace(searchParams, "search_docs", "x", 1), "Mcp-Name", "x"),
			http.StatusOK, -32602, "tool_not_found")
		checkRPC(t, "no metadata", g.message(tokenAgent, "", toolsList, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list"),
			400, -32602, "bad_params")
		checkRPC(t, "a session's version without one", g.message(tokenAgent, "", toolsList, "Mcp-Protocol-Version", "2025-11-25"),
			400, -32600, "session_missing")
		if calls := g.backend.Calls(); len(calls) > 0 {
			t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Body)
		}
	})
}

// The gate advertises only what it serves, and answers the requests that clients send regardless.
func TestMCPCapabilities(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		r := g.message(tokenAgent, "", initialize)
		if !strings.Contains(r.body, `"capabilities":{"tools":{"listChanged":true}}`) || !strings.Contains(r.body, `"serverInfo"`) {
			t.Errorf("initialize: %s", r.body)
		}
		id := r.header.Get("Mcp-Session-Id")
		g.backend.Reset()
		for method, c := range map[string]struct{ params, want string }{
			"prompts/list":             {"", `{"prompts":[]}`},
			"resources/list":           {`"cursor":"c"`, `{"resources":[]}`},
			"resources/templates/list": {"", `{"resourceTemplates":[]}`},
			"logging/setLevel":         {`"level":"info"`, `{}`},
		} {
			body := `{"jsonrpc":"2.0","id":"x","method":"` + method + `","params":{` + c.params + `}}`
			r := g.message(tokenAgent, id, body)
			if want := `{"jsonrpc":"2.0","id":"x","result":` + c.want + "}\n"; r.status != http.StatusOK || r.body != want {
				t.Errorf("%s: %d %s, want %s", method, r.status, r.body, want)
			}
			if ct := r.header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("%s: content type %s", method, ct)
			}
			checkRPC(t, method+" without a session", g.message(tokenAgent, "", body), 400, -32600, "session_missing")
			checkRPC(t, method+" in a session of another key", g.message(tokenOther, id, body), 404, -32001, "session_not_found")
			checkRPC(t, method+" without a key", g.message("nobody", id, body), 401, -32001, "invalid_api_key")
		}
		if calls := g.backend.Calls(); len(calls) > 0 {
			t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Body)
		}
	})
}
