package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestMCPErrorResponses(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
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
			"resources/read":         {tokenAgent, own, method("resources/read"), 200, -32601, "method_not_found"},
			"completion":             {tokenAgent, own, method("completion/complete"), 200, -32601, "method_not_found"},
			"logging":                {tokenAgent, own, method("logging/setLevel"), 200, -32602, "bad_params"},
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
			t.Errorf("%d rejected requests were forwarded", after-before)
		}
		for token, id := range map[string]string{tokenAgent: own, tokenOther: foreign} {
			if m := g.message(token, id, toolsList).rpc(t); m.Result == nil {
				t.Errorf("a session was lost: %+v", m)
			}
		}
	})
}

// Errors of DocsGPT are replaced with those of the gate, logged and counted.
func TestMCPUpstreamErrors(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
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
		if !strings.Contains(g.logs(), "the agent key of stale is not valid in DocsGPT") {
			t.Error("the log does not say how to fix it")
		}

		id := g.session(tokenAgent)
		if r := g.message(tokenAgent, id, toolCall("[[errorevent]]")); strings.Contains(r.body, "psycopg") || !r.rpc(t).Result.IsError {
			t.Errorf("a message of DocsGPT: %s", r.body)
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
		g.backend.Reset() // simulates a restart of DocsGPT
		checkRPC(t, "DocsGPT forgot", g.message(tokenAgent, id, toolsList), http.StatusNotFound, -32001, "session_not_found")
		calls := len(g.backend.Calls())
		checkRPC(t, "known from then on", g.message(tokenAgent, id, toolsList), http.StatusNotFound, -32001, "session_not_found")
		if len(g.backend.Calls()) != calls {
			t.Error("a request in an unknown session was forwarded")
		}
		g.session(tokenAgent)
	})
}

// An error response of DocsGPT has a session ID, too. The session belongs to no key, and its ID is not sent to the client.
func TestMCPSessionOfErrorResponse(t *testing.T) {
	testMCPModes(t, func(t *testing.T, g *gate) {
		r := g.message(tokenAgent, "", initialize, "Accept", "", "Accept", "text/plain")
		checkRPC(t, "an error", r, http.StatusNotAcceptable, -32600, "not_acceptable")
		if id := r.header.Get("Mcp-Session-Id"); id != "" {
			t.Errorf("the client got the session %s", id)
		}

		// Here the error is in the stream, after the header.
		r = g.message(tokenAgent, "", strings.Replace(initialize, `{"name":"test","version":"1"}`, "{}", 1))
		if m := r.rpc(t); m.Error == nil || m.Error.Data.Code != "bad_request" {
			t.Errorf("client information that is not complete: %s", r.body)
		}
		calls := len(g.backend.Calls())
		r = g.message(tokenAgent, r.header.Get("Mcp-Session-Id"), toolsList)
		checkRPC(t, "its session", r, http.StatusNotFound, -32001, "session_not_found")
		if len(g.backend.Calls()) != calls {
			t.Error("the session of an error belongs to the key")
		}
	})
}
