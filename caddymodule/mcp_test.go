package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMCPClient(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		id := g.session(tokenAgent)
		if r := g.message(tokenAgent, id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); r.status != http.StatusAccepted || r.body != "" {
			t.Errorf("initialized: %d %s", r.status, r.body)
		}
		if m := g.message(tokenAgent, id, toolsList).rpc(t); m.Result == nil || len(m.Result.Tools) != 1 {
			t.Errorf("tools: %+v", m)
		}
		for _, path := range []string{"/mcp", "/mcp/", "//mcp", "/%6dcp/"} {
			r := g.send(http.MethodPost, path, toolCall("reset"), g.mcpHeaders(tokenAgent, id, "Mcp-Protocol-Version", "2025-06-18")...)
			m := r.rpc(t)
			if m.Result == nil || m.Result.IsError || !strings.Contains(m.Result.Content[0].Text, "alpha") || m.ID != "a" {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
			if !strings.HasPrefix(r.body, "event: message\r\ndata: ") || !strings.HasSuffix(r.body, "}\r\n\r\n") {
				t.Errorf("%s: the event was modified: %q", path, r.body)
			}
			assertNoSecrets(t, "the response", r.body)
		}
		call := g.lastCall()
		if string(call.Body) != toolCall("reset") || call.Path != "/mcp/" || call.ContentLength != int64(len(call.Body)) {
			t.Errorf("DocsGPT got %s %s", call.Path, call.Body)
		}
		for name, want := range map[string]string{
			"Authorization": "Bearer " + agentAlpha, "Mcp-Session-Id": bareID(t, id), "Mcp-Protocol-Version": "2025-06-18", "Accept": accept,
		} {
			if got := call.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if r := g.send(http.MethodDelete, "/mcp", "", g.mcpHeaders(tokenAgent, id)...); r.status != http.StatusOK {
			t.Errorf("the end of the session: %d %s", r.status, r.body)
		}
		before := len(g.backend.Calls())
		checkRPC(t, "after the end", g.message(tokenAgent, id, toolsList), http.StatusNotFound, -32001, "session_not_found")
		if len(g.backend.Calls()) != before {
			t.Error("a request in an ended session was forwarded")
		}
	})
}

// An MCP server may respond with JSON instead of a stream.
func TestMCPJSONResponses(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				body, _ := io.ReadAll(r.Body)
				switch {
				case strings.Contains(string(body), "initialize"):
					w.Header().Set("Mcp-Session-Id", "made-by-json")
					fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
				case strings.Contains(string(body), "tools/list"):
					w.Header().Set("Mcp-Session-Id", "another")
					fmt.Fprint(w, `{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"search_docs"}]}}`)
				default:
					fmt.Fprint(w, `{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"Invalid API key"}],"isError":true}}`)
				}
			}))
			t.Cleanup(server.Close)
			site = strings.Replace(site, "endpoints widget openai health", "endpoints mcp", 1)
			g.start(fmt.Sprintf(site, strings.TrimPrefix(server.URL, "http://"), ""))
			id := g.session(tokenAgent)
			r := g.message(tokenAgent, id, toolsList)
			if m := r.rpc(t); m.Result == nil || len(m.Result.Tools) != 1 || r.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("tools: %s %v", r.body, r.header)
			}
			if r := g.message(tokenAgent, id, toolCall("q")); strings.Contains(r.body, "key") || !r.rpc(t).Result.IsError {
				t.Errorf("a rejected key: %s", r.body)
			}
			if got := g.metric(`caddy_docsgate_upstream_failures_total{code="upstream_refused",endpoint="mcp"}`); got == "" {
				t.Error("it is not counted")
			}
		})
	}
}

func TestMCPPreflight(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		for _, path := range []string{"/mcp", "/mcp/"} {
			r := g.send(http.MethodOptions, path, "", "Origin", "https://docs.example.com", "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "authorization,content-type,mcp-protocol-version,mcp-session-id")
			if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Methods") != "POST, GET, DELETE, OPTIONS" {
				t.Errorf("%s: %d %v", path, r.status, r.header)
			}
			for _, name := range []string{"Authorization", "Mcp-Session-Id", "Mcp-Protocol-Version"} {
				if !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), name) {
					t.Errorf("%s: %s may not be sent", path, name)
				}
			}
			if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") {
				t.Errorf("%s: the session may not be read", path)
			}
		}
	})
}

// Clients with OAuth look for its endpoints when a key is rejected, and show the last error message.
func TestMCPNoOAuth(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		for _, path := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"} {
			if r := g.send(http.MethodGet, path, ""); r.status != http.StatusNotFound {
				t.Errorf("%s: %d", path, r.status)
			}
		}
		r := g.send(http.MethodPost, "/register", "{}")
		var said struct {
			Error       string
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal([]byte(r.body), &said); err != nil || r.status != http.StatusNotFound ||
			said.Error != "invalid_request" || !strings.Contains(said.Description, "API key") {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// Without the endpoint group mcp, its paths are not found.
func TestMCPDisabledByDefault(t *testing.T) {
	g := newGate(t)
	g.start("docsgate " + g.address + "\n")
	for _, path := range []string{"/mcp", "/mcp/"} {
		if r := g.send(http.MethodPost, path, initialize, g.mcpHeaders(tokenAgent, "")...); r.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := g.send(http.MethodPost, "/register", "{}"); strings.Contains(r.body, "sign in") {
		t.Errorf("sign in: %s", r.body)
	}
}
