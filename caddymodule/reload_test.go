package caddymodule_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestKeysChangeWhileRunning(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		works := func(token string) bool { return g.ask("/api/answer", token, "q", "").status == http.StatusOK }
		if !works(tokenAgent) || works("canary-token-new") {
			t.Fatal("wrong from the start")
		}
		g.writeKeys(fmt.Sprintf("keys:\n  - {id: new, sha256: %s, agent: \"{env.AGENT_BETA}\"}\n", sha("canary-token-new")))
		waitFor(t, "the new key works", func() bool { return works("canary-token-new") })
		if works(tokenAgent) {
			t.Error("a removed key works")
		}
		g.writeKeys("keys:\n  - {id: new}\n")
		waitFor(t, "the fault is seen", func() bool {
			return g.metric(`caddy_docsgate_feed_failures_total{feed="file:`+g.keys+`"}`) == "1"
		})
		if got := g.metric(`caddy_docsgate_feed_up{feed="file:` + g.keys + `"}`); got != "0" {
			t.Errorf("feed up: %s", got)
		}
		if !works("canary-token-new") {
			t.Error("an invalid file removed the valid keys")
		}
		waitFor(t, "the log names the file and line", func() bool { return strings.Contains(g.logs(), "keys.yaml:2") })
		g.writeKeys(fmt.Sprintf("keys:\n  - {id: new, sha256: %s, agent: \"{env.AGENT_BETA}\", state: disabled}\n", sha("canary-token-new")))
		waitFor(t, "the key is disabled", func() bool { return !works("canary-token-new") })
		if got := g.metric(`caddy_docsgate_keys{state="disabled"}`); got != "1" {
			t.Errorf("disabled keys: %s", got)
		}
	})
}

func TestReload(t *testing.T) {
	g := newGate(t)
	site := fmt.Sprintf(forwardModes["built-in"], g.address, "")
	g.start(site)
	first := g.ask("/stream", tokenMany, "one", "")
	id := first.conversation(t)

	// An open stream continues after the reload.
	body := `{"question":"[[gap=1]]","history":"[]","api_key":"` + tokenAgent + `"}`
	resp, err := http.Post(g.urls[0]+"/stream", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	g.writeKeys(keyFile() + fmt.Sprintf("  - {id: added, sha256: %s, agent: \"{env.AGENT_BETA}\"}\n", sha("canary-token-new")))
	if err := g.load(g.config(site)); err != nil {
		t.Fatal(err)
	}
	if r := g.ask("/api/answer", "canary-token-new", "q", ""); r.status != http.StatusOK {
		t.Errorf("the reload did not read the keys again: %d", r.status)
	}
	if again := g.ask("/stream", tokenMany, "two", `,"conversation_id":"`+id+`"`); !strings.Contains(again.body, "turns=2") {
		t.Errorf("the reload forgot the conversations: %s", again.body)
	}
	ended := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		ended = ended || strings.Contains(lines.Text(), `{"type": "end"}`)
	}
	if !ended {
		t.Error("the reload cut an open stream")
	}

	g.writeKeys("keys: nonsense\n")
	if err := g.load(g.config(site)); err == nil || !strings.Contains(err.Error(), "keys.yaml:1") {
		t.Errorf("a configuration with a bad key file was loaded: %v", err)
	}
	if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK {
		t.Errorf("after a rejected reload: %d", r.status)
	}
}

func TestInvalidKeysReportedAtStart(t *testing.T) {
	g := newGate(t)
	g.writeKeys("keys:\n  - {id: a, token: in-clear, agent: \"{env.AGENT_ALPHA}\"}\n  - {id: a, sha256: nope, source: [\"x\"]}\n")
	err := g.load(g.config(fmt.Sprintf(forwardModes["built-in"], g.address, "")))
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"keys.yaml:2", "keys.yaml:3", "{env.", "docsgate keys hash", "UUID"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "in-clear") {
		t.Error("the error shows a token")
	}
}

func TestPlaceholders(t *testing.T) {
	g := newGate(t)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, r.Header.Get("X-Seen"))
	}))
	defer echo.Close()
	g.start("docsgate\nreverse_proxy " + strings.TrimPrefix(echo.URL, "http://") +
		" {\nheader_up X-Seen \"{http.auth.user.id}|{docsgate.key.id}|{docsgate.key.name}|{docsgate.source}\"\n}\n")
	if r := g.ask("/api/answer", tokenAgent, "q", ""); r.body != "agent|agent|Agent key|" {
		t.Errorf("agent: %q", r.body)
	}
	if r := g.ask("/api/answer", tokenMany, "q", ""); r.body != "many|many|many|"+sourceAlpha+","+sourceBeta {
		t.Errorf("sources: %q", r.body)
	}
}
