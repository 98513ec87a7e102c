package caddymodule_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

const (
	accept     = "application/json, text/event-stream"
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",` +
		`"capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`
	toolsList = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
)

// mcpWays runs a test with each way of forwarding, with the endpoint group mcp.
func mcpWays(t *testing.T, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range ways {
		t.Run(name, func(t *testing.T) {
			g := prepare(t)
			g.write(keyFile() + fmt.Sprintf("  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenOther)))
			site = strings.Replace(site, "endpoints widget openai health", "endpoints widget mcp", 1)
			g.start(fmt.Sprintf(site, g.address, ""))
			test(t, g)
		})
	}
}

// tokenOther is a second key for the agent of tokenAgent.
const tokenOther = "canary-token-other"

// rpc is a JSON-RPC answer, out of JSON or the first event.
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

func (r reply) rpc(t *testing.T) rpc {
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

// message sends a message of an MCP client; an empty session is none.
func (g *gate) message(token, session, body string, headers ...string) reply {
	g.t.Helper()
	return g.send(http.MethodPost, "/mcp", body, g.mcpHeaders(token, session, headers...)...)
}

func (g *gate) mcpHeaders(token, session string, headers ...string) []string {
	return append([]string{"Accept", accept, "Authorization", "Bearer " + token, "Mcp-Session-Id", session}, headers...)
}

// session opens a session and returns its id.
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

func TestMCPClient(t *testing.T) {
	mcpWays(t, func(t *testing.T, g *gate) {
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
				t.Errorf("%s: the event is not as it came: %q", path, r.body)
			}
			noSecrets(t, "the answer", r.body)
		}
		call := g.last()
		if string(call.Body) != toolCall("reset") || call.Path != "/mcp/" || call.ContentLength != int64(len(call.Body)) {
			t.Errorf("DocsGPT got %s %s", call.Path, call.Body)
		}
		for name, want := range map[string]string{
			"Authorization": "Bearer " + agentAlpha, "Mcp-Session-Id": id, "Mcp-Protocol-Version": "2025-06-18", "Accept": accept,
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
			t.Error("a request in an ended session was passed on")
		}
	})
}

// checkRPC fails unless the answer is that refusal, readable and with an id to find it by.
func checkRPC(t *testing.T, what string, r reply, status, number int, code string) {
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
	noSecrets(t, what, r.body)
}

func TestMCPErrorResponses(t *testing.T) {
	mcpWays(t, func(t *testing.T, g *gate) {
		own, foreign := g.session(tokenAgent), g.session(tokenOther)
		call := func(params string) string {
			return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":` + params + `}`
		}
		method := func(name string) string { return `{"jsonrpc":"2.0","id":7,"method":"` + name + `","params":{}}` }
		before := len(g.backend.Calls())
		for name, c := range map[string]struct {
			token, session, body string
			status, number       int
			code                 string
		}{
			"no key":                 {"", own, toolsList, 401, -32001, "invalid_api_key"},
			"no key, initialize":     {"", "", initialize, 401, -32001, "invalid_api_key"},
			"unknown key":            {"nobody", own, toolsList, 401, -32001, "invalid_api_key"},
			"expired key":            {tokenOld, "", initialize, 401, -32001, "invalid_api_key"},
			"disabled key":           {tokenOff, "", initialize, 401, -32001, "invalid_api_key"},
			"DocsGPT's own key":      {agentAlpha, "", initialize, 401, -32001, "invalid_api_key"},
			"bound to a source":      {tokenSource, "", initialize, 403, -32001, "binding_not_supported"},
			"another key's session":  {tokenAgent, foreign, toolCall("q"), 404, -32001, "session_not_found"},
			"invented session":       {tokenAgent, strings.Repeat("a", 32), toolsList, 404, -32001, "session_not_found"},
			"initialize in another":  {tokenAgent, foreign, initialize, 404, -32001, "session_not_found"},
			"no session":             {tokenAgent, "", toolsList, 400, -32600, "session_missing"},
			"no session, ping":       {tokenAgent, "", method("ping"), 400, -32600, "session_missing"},
			"resources/list":         {tokenAgent, own, method("resources/list"), 200, -32601, "method_not_found"},
			"resources/read":         {tokenAgent, own, method("resources/read"), 200, -32601, "method_not_found"},
			"prompts/list":           {tokenAgent, own, method("prompts/list"), 200, -32601, "method_not_found"},
			"completion":             {tokenAgent, own, method("completion/complete"), 200, -32601, "method_not_found"},
			"logging":                {tokenAgent, own, method("logging/setLevel"), 200, -32601, "method_not_found"},
			"sampling":               {tokenAgent, own, method("sampling/createMessage"), 200, -32601, "method_not_found"},
			"a method in capitals":   {tokenAgent, own, method("Tools/list"), 200, -32601, "method_not_found"},
			"another tool":           {tokenAgent, own, call(`{"name":"shell","arguments":{"query":"q"}}`), 200, -32602, "tool_not_found"},
			"tool in capitals":       {tokenAgent, own, call(`{"name":"Search_docs","arguments":{"query":"q"}}`), 200, -32602, "tool_not_found"},
			"another argument":       {tokenAgent, own, call(`{"name":"search_docs","arguments":{"query":"q","api_key":"x"}}`), 200, -32602, "bad_params"},
			"argument twice":         {tokenAgent, own, call(`{"name":"search_docs","arguments":{"query":"q","query":"r"}}`), 200, -32602, "bad_params"},
			"tool twice":             {tokenAgent, own, call(`{"name":"search_docs","name":"shell","arguments":{"query":"q"}}`), 200, -32602, "bad_params"},
			"too many chunks":        {tokenAgent, own, call(`{"name":"search_docs","arguments":{"query":"q","chunks":51}}`), 200, -32602, "bad_params"},
			"no query":               {tokenAgent, own, call(`{"name":"search_docs","arguments":{}}`), 200, -32602, "bad_params"},
			"a task":                 {tokenAgent, own, call(`{"name":"search_docs","arguments":{"query":"q"},"task":{}}`), 200, -32602, "bad_params"},
			"initialize, incomplete": {tokenAgent, "", `{"jsonrpc":"2.0","id":7,"method":"initialize"}`, 200, -32602, "bad_params"},
			"another notification": {
				tokenAgent, own, `{"jsonrpc":"2.0","method":"notifications/progress"}`, 400, -32601, "method_not_found",
			},
			"a call without id":   {tokenAgent, own, `{"jsonrpc":"2.0","method":"tools/list"}`, 400, -32600, "bad_request"},
			"notification, id":    {tokenAgent, own, `{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}`, 400, -32600, "bad_request"},
			"id null":             {tokenAgent, own, `{"jsonrpc":"2.0","id":null,"method":"ping"}`, 400, -32600, "bad_request"},
			"an answer":           {tokenAgent, own, `{"jsonrpc":"2.0","id":1,"result":{}}`, 400, -32600, "bad_request"},
			"other version":       {tokenAgent, own, `{"jsonrpc":"1.0","id":1,"method":"ping"}`, 400, -32600, "bad_request"},
			"method twice":        {tokenAgent, own, `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`, 400, -32600, "bad_request"},
			"a batch":             {tokenAgent, own, `[` + toolsList + `]`, 400, -32600, "bad_request"},
			"no JSON":             {tokenAgent, own, `{`, 400, -32600, "bad_request"},
			"params are an array": {tokenAgent, own, `{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, 400, -32600, "bad_request"},
		} {
			t.Run(name, func(t *testing.T) {
				r := g.message(c.token, c.session, c.body)
				checkRPC(t, name, r, c.status, c.number, c.code)
				if c.status == http.StatusUnauthorized && r.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("WWW-Authenticate: %v", r.header)
				}
				if m := r.rpc(t); c.status == http.StatusOK && m.ID != 7.0 {
					t.Errorf("answers %v", m.ID)
				}
			})
		}
		for name, c := range map[string]struct {
			method, token, session string
			status, number         int
			code                   string
		}{
			"end without a key":           {"DELETE", "", own, 401, -32001, "invalid_api_key"},
			"end of another key's":        {"DELETE", tokenAgent, foreign, 404, -32001, "session_not_found"},
			"end of nothing":              {"DELETE", tokenAgent, "", 400, -32600, "session_missing"},
			"listening without a key":     {"GET", "", own, 401, -32001, "invalid_api_key"},
			"listening in another key's":  {"GET", tokenAgent, foreign, 404, -32001, "session_not_found"},
			"listening without a session": {"GET", tokenAgent, "", 400, -32600, "session_missing"},
			"listening with a source":     {"GET", tokenSource, own, 403, -32001, "binding_not_supported"},
			"another method":              {"PUT", tokenAgent, own, 405, -32600, "method_not_allowed"},
		} {
			t.Run(name, func(t *testing.T) {
				r := g.send(c.method, "/mcp", "", g.mcpHeaders(c.token, c.session)...)
				checkRPC(t, name, r, c.status, c.number, c.code)
			})
		}
		twice := g.message(tokenAgent, own, toolsList, "Mcp-Session-Id", foreign)
		checkRPC(t, "two sessions", twice, http.StatusNotFound, -32001, "session_not_found")
		if after := len(g.backend.Calls()); after != before {
			t.Errorf("%d refused requests were passed on", after-before)
		}
		for token, id := range map[string]string{tokenAgent: own, tokenOther: foreign} {
			if m := g.message(token, id, toolsList).rpc(t); m.Result == nil {
				t.Errorf("a session did not survive: %+v", m)
			}
		}
	})
}

// What DocsGPT says of its own troubles is told in the gate's words, logged and counted.
func TestMCPUpstreamErrors(t *testing.T) {
	mcpWays(t, func(t *testing.T, g *gate) {
		stale := g.session(tokenStale)
		before := g.metric(`caddy_docsgate_upstream_failures_total{code="upstream_refused",endpoint="mcp"}`)
		r := g.message(tokenStale, stale, toolCall("q"))
		m := r.rpc(t)
		if r.status != http.StatusOK || m.ID != "a" || m.Result == nil || !m.Result.IsError ||
			strings.Contains(strings.ToLower(r.body), "key") || !strings.HasPrefix(r.body, "event: message\r\ndata: {") {
			t.Errorf("an agent key that DocsGPT does not know: %d %s", r.status, r.body)
		}
		after := g.metric(`caddy_docsgate_upstream_failures_total{code="upstream_refused",endpoint="mcp"}`)
		if before == after || after == "" {
			t.Errorf("not counted: %s, then %s", before, after)
		}
		if !strings.Contains(g.logged(), "the agent key of stale is not valid in DocsGPT") {
			t.Error("the log does not say what to do")
		}

		id := g.session(tokenAgent)
		if r := g.message(tokenAgent, id, toolCall("[[errorevent]]")); strings.Contains(r.body, "psycopg") || !r.rpc(t).Result.IsError {
			t.Errorf("DocsGPT's own words: %s", r.body)
		}
		for question, code := range map[string]string{"[[cut]]": "upstream_truncated", "[[noend]]": "upstream_truncated"} {
			m := g.message(tokenAgent, id, toolCall(question)).rpc(t)
			if m.ID != "a" || m.Error == nil || m.Error.Data.Code != code {
				t.Errorf("%s: %+v", question, m)
			}
		}
		checkRPC(t, "failure", g.message(tokenAgent, id, toolCall("[[fail=500]]")), http.StatusBadGateway, -32603, "upstream_error")
		checkRPC(t, "refusal", g.message(tokenAgent, id, toolCall("[[fail=401]]")), http.StatusBadGateway, -32603, "upstream_refused")
		checkRPC(t, "limit", g.message(tokenAgent, id, toolCall("[[fail=429]]")), http.StatusTooManyRequests, -32000, "upstream_limit")
		checkRPC(t, "Accept", g.message(tokenAgent, id, toolsList, "Accept", "", "Accept", "text/plain"),
			http.StatusNotAcceptable, -32600, "not_acceptable")

		for _, question := range []string{"[[keepalive]]", "[[split]]", "[[big=3000000]]", "[[unicode]] [[split]]"} {
			r := g.message(tokenAgent, id, toolCall(question))
			if m := r.rpc(t); m.Result == nil || m.Result.IsError {
				t.Errorf("%s: %.200s", question, r.body)
			}
		}
		g.backend.Reset() // DocsGPT was started again
		checkRPC(t, "DocsGPT forgot", g.message(tokenAgent, id, toolsList), http.StatusNotFound, -32001, "session_not_found")
		calls := len(g.backend.Calls())
		checkRPC(t, "known from then on", g.message(tokenAgent, id, toolsList), http.StatusNotFound, -32001, "session_not_found")
		if len(g.backend.Calls()) != calls {
			t.Error("a session that is gone was asked for again")
		}
		g.session(tokenAgent)
	})
}

// listenerGone reports whether the backend has done with the client that listened: from then on another one may.
func (g *gate) listenerGone() bool {
	return g.backend.OpenStreams() == 0 &&
		slices.ContainsFunc(g.backend.Calls(), func(c docsgpttest.Call) bool { return c.Method == http.MethodGet && c.Canceled })
}

// The stream on which a client listens begins at once, stays open, and ends on both sides when either ends it.
func TestMCPServerStream(t *testing.T) {
	mcpWays(t, func(t *testing.T, g *gate) {
		id := g.session(tokenAgent)
		listen := func() (*http.Response, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.urls[0]+"/mcp", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "text/event-stream")
			r.Header.Set("Authorization", "Bearer "+tokenAgent)
			r.Header.Set("Mcp-Session-Id", id)
			r.Header.Set("Last-Event-Id", "7")
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%d %v", resp.StatusCode, resp.Header)
			}
			return resp, cancel
		}
		resp, cancel := listen()
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.HasPrefix(line, ": ping") {
			t.Errorf("the first line: %q %v", line, err)
		}
		if got := g.last().Header.Get("Last-Event-Id"); got != "7" {
			t.Errorf("Last-Event-Id: %q", got)
		}
		again := g.send(http.MethodGet, "/mcp", "", g.mcpHeaders(tokenAgent, id)...)
		checkRPC(t, "a second listener", again, http.StatusConflict, -32600, "conflict")
		cancel()
		resp.Body.Close()
		until(t, "the backend has done with the client", g.listenerGone)

		resp, cancel = listen()
		defer cancel()
		defer resp.Body.Close()
		if r := g.send(http.MethodDelete, "/mcp", "", g.mcpHeaders(tokenAgent, id)...); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if text := lines.Text(); text != "" && !strings.HasPrefix(text, ":") {
				t.Errorf("the stream ends with %q", text)
			}
		}
	})
}

// A stream on which a client listens has no end of its own. It ends, in good order, when the configuration does. (That
// the process ends, too, is tested end to end.)
func TestMCPServerStreamEndsOnReload(t *testing.T) {
	for name, site := range ways {
		t.Run(name, func(t *testing.T) {
			g := prepare(t)
			site = fmt.Sprintf(strings.Replace(site, "endpoints widget openai health", "endpoints mcp", 1), g.address, "")
			config := strings.Replace(g.config(site), "grace_period 1s", "grace_period 1h", 1)
			g.start()
			if err := g.load(config); err != nil {
				t.Fatal(err)
			}
			id := g.session(tokenAgent)
			for _, end := range []struct {
				how string
				do  func() error
			}{
				{"a reload", func() error { return g.load(strings.Replace(config, "endpoints mcp", "endpoints mcp widget", 1)) }},
				{"the end", func() error { return caddy.Stop() }},
			} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.urls[0]+"/mcp", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header = http.Header{
					"Accept": {"text/event-stream"}, "Authorization": {"Bearer " + tokenAgent}, "Mcp-Session-Id": {id},
				}
				resp, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if err := end.do(); err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || strings.Contains(string(text), "data") {
					t.Errorf("%s: %d %q %v", end.how, resp.StatusCode, text, err)
				}
				until(t, "the backend has done with it", g.listenerGone)
			}
		})
	}
}

// Silence on such a stream is no trouble.
func TestMCPServerStreamIdle(t *testing.T) {
	g := prepare(t)
	g.start("docsgate " + g.address + " {\nendpoints mcp\nstream_idle_timeout 500ms\n}\n")
	id := g.session(tokenAgent)
	r := g.send(http.MethodGet, "/mcp", "", g.mcpHeaders(tokenAgent, id)...)
	if r.status != http.StatusOK || strings.Contains(r.body, "data") {
		t.Errorf("%d %q", r.status, r.body)
	}
	if strings.Contains(g.logged(), "DocsGPT request failed") {
		t.Error("it is logged as trouble")
	}
	m := g.message(tokenAgent, id, toolCall("[[gap=5]]")).rpc(t)
	if m.ID != "a" || m.Error == nil || m.Error.Data.Code != "upstream_timeout" {
		t.Errorf("silence in place of an answer: %+v", m)
	}
}

// A server of MCP may answer in JSON, too.
func TestMCPJSONResponses(t *testing.T) {
	for name, site := range ways {
		t.Run(name, func(t *testing.T) {
			g := prepare(t)
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
				t.Errorf("a refused key: %s", r.body)
			}
			if got := g.metric(`caddy_docsgate_upstream_failures_total{code="upstream_refused",endpoint="mcp"}`); got == "" {
				t.Error("it is not counted")
			}
		})
	}
}

// An error of DocsGPT brings a session id, too. It is nobody's, and the client does not get it.
func TestMCPSessionOfErrorResponse(t *testing.T) {
	mcpWays(t, func(t *testing.T, g *gate) {
		r := g.message(tokenAgent, "", initialize, "Accept", "", "Accept", "text/plain")
		checkRPC(t, "an error", r, http.StatusNotAcceptable, -32600, "not_acceptable")
		if id := r.header.Get("Mcp-Session-Id"); id != "" {
			t.Errorf("the client was given the session %s", id)
		}

		// This one has its error in the stream, after the head.
		r = g.message(tokenAgent, "", strings.Replace(initialize, `{"name":"test","version":"1"}`, "{}", 1))
		if m := r.rpc(t); m.Error == nil || m.Error.Data.Code != "bad_request" {
			t.Errorf("client information that is not complete: %s", r.body)
		}
		calls := len(g.backend.Calls())
		r = g.message(tokenAgent, r.header.Get("Mcp-Session-Id"), toolsList)
		checkRPC(t, "its session", r, http.StatusNotFound, -32001, "session_not_found")
		if len(g.backend.Calls()) != calls {
			t.Error("the session of an error is the key's")
		}
	})
}

func TestMCPPreflight(t *testing.T) {
	mcpWays(t, func(t *testing.T, g *gate) {
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

// Clients that can sign in look for OAuth when their key is refused, and show the last thing that they are told.
func TestMCPNoOAuth(t *testing.T) {
	mcpWays(t, func(t *testing.T, g *gate) {
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

// Nothing of all this is there where the group is not open.
func TestMCPDisabledByDefault(t *testing.T) {
	g := prepare(t)
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
