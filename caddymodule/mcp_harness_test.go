package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	accept     = "application/json, text/event-stream"
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",` +
		`"capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`
	toolsList = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
)

// testMCPModes runs a test in each forward mode, with the endpoint group mcp.
func testMCPModes(t *testing.T, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(keyFile() + fmt.Sprintf("  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenOther)))
			site = strings.Replace(site, "endpoints widget openai health", "endpoints widget mcp", 1)
			g.start(fmt.Sprintf(site, g.address, ""))
			test(t, g)
		})
	}
}

// tokenOther is a second key for the agent of tokenAgent.
const tokenOther = "canary-token-other"

// rpc is a JSON-RPC response, from a JSON body or from the last event of a stream.
type rpc struct {
	ID     any
	Result *struct {
		Content []struct{ Text string }
		IsError bool
		Tools   []struct{ Name string }
	}
	Error *struct {
		Code    int
		Message string
		Data    struct {
			Code      string
			RequestID string `json:"request_id"`
		}
	}
}

func (r response) rpc(t *testing.T) rpc {
	t.Helper()
	text := r.body
	for line := range strings.Lines(r.body) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			text = data
		}
	}
	var m rpc
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in %d %s", err, r.status, r.body)
	}
	return m
}

// message sends a message of an MCP client. If session is empty, the request has no session.
func (g *gate) message(token, session, body string, headers ...string) response {
	g.t.Helper()
	return g.send(http.MethodPost, "/mcp", body, g.mcpHeaders(token, session, headers...)...)
}

func (g *gate) mcpHeaders(token, session string, headers ...string) []string {
	return append([]string{"Accept", accept, "Authorization", "Bearer " + token, "Mcp-Session-Id", session}, headers...)
}

// session opens a session and returns its ID.
func (g *gate) session(token string) string {
	g.t.Helper()
	r := g.message(token, "", initialize)
	id := r.header.Get("Mcp-Session-Id")
	if m := r.rpc(g.t); r.status != http.StatusOK || m.Result == nil || id == "" {
		g.t.Fatalf("no session: %d %s", r.status, r.body)
	}
	return id
}

func toolCall(query string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"search_docs","arguments":{"query":%q}}}`, query)
}

// checkRPC checks a JSON-RPC error response: status, number and code, with a message and a request ID.
func checkRPC(t *testing.T, what string, r response, status, number int, code string) {
	t.Helper()
	if r.status != status {
		t.Errorf("%s: status %d, want %d: %s", what, r.status, status, r.body)
	}
	m := r.rpc(t)
	if m.Error == nil || m.Error.Code != number || m.Error.Data.Code != code || m.Error.Data.RequestID == "" ||
		!strings.HasSuffix(m.Error.Message, ".") {
		t.Errorf("%s: got %s, want %d and %s", what, r.body, number, code)
	}
	if r.header.Get("Content-Type") != "application/json" || r.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s: %v", what, r.header)
	}
	assertNoSecrets(t, what, r.body)
}
