package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// endedSessions returns the IDs of the sessions that were ended at the backend.
func (g *gate) endedSessions() []string {
	var ids []string
	for _, call := range g.backend.Calls() {
		if call.Method == http.MethodDelete {
			ids = append(ids, call.Header.Get("Mcp-Session-Id"))
		}
	}
	return ids
}

// When a key stops being valid, its MCP sessions end at DocsGPT, which would serve every client that knows their IDs. Those of other keys
// continue.
func TestRevocationEndsSessions(t *testing.T) {
	g := newGate(t)
	both := keyFile() + fmt.Sprintf("  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenOther))
	g.writeKeys(both)
	site := fmt.Sprintf("docsgate %s {\n\tendpoints mcp\n}\n", g.address)
	g.start(site)
	ended, open, other := g.session(tokenAgent), g.session(tokenAgent), g.session(tokenOther)
	if r := g.send(http.MethodDelete, "/mcp", "", g.mcpHeaders(tokenAgent, ended)...); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}

	// Changes that leave the key valid, and a reload.
	g.writeKeys(strings.Replace(both, "name: Agent key", "name: Another", 1))
	waitFor(t, "the key is changed", func() bool { return strings.Contains(g.logs(), `"updated":1`) })
	if err := g.load(g.config(site + "# reloaded\n")); err != nil {
		t.Fatal(err)
	}
	if r := g.message(tokenAgent, open, toolsList); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}

	g.writeKeys(fmt.Sprintf("keys:\n  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenOther)))
	waitFor(t, "the session ends", func() bool { return len(g.endedSessions()) > 1 })
	if got, want := fmt.Sprint(g.endedSessions()), fmt.Sprint([]string{bareID(t, ended), bareID(t, open)}); got != want {
		t.Errorf("ended %s, want %s", got, want)
	}
	if r := g.message(tokenOther, other, toolsList); r.status != http.StatusOK {
		t.Errorf("the session of another key: %d %s", r.status, r.body)
	}
	assertNoSecrets(t, "the log", g.logs())
}
