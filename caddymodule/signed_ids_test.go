package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/ownership/signedid"
)

// turn asks a question in a conversation, and returns which turn of a conversation of DocsGPT it became.
func (g *gate) turn(path, token, id string) string {
	g.t.Helper()
	r := g.ask(path, token, "q", fmt.Sprintf(`,"conversation_id":%q`, id))
	_, rest, _ := strings.Cut(r.body, "turns=")
	n, _, _ := strings.Cut(rest, " ")
	if r.status != http.StatusOK {
		g.t.Errorf("%s: %d %s", path, r.status, r.body)
	}
	return n
}

// restart stops Caddy and starts it again, as a new process would: no state is left in memory.
func (g *gate) restart(site string) {
	g.t.Helper()
	if err := caddy.Stop(); err != nil {
		g.t.Fatal(err)
	}
	if err := g.load(g.config(site)); err != nil {
		g.t.Fatal(err)
	}
}

// idFile returns the path of a file about IDs.
func (g *gate) idFile(name string) string {
	return filepath.Join(g.dir, "data", "caddy", "docsgate", "ids."+name)
}

func testRestart(t *testing.T, test func(t *testing.T, g *gate, restart func())) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			site := fmt.Sprintf(site, g.address, "")
			g.start(site)
			test(t, g, func() { g.restart(site) })
		})
	}
}

// Every client that has the ID of a conversation goes on after a restart, and no other.
func TestConversationsSurviveRestart(t *testing.T) {
	testRestart(t, func(t *testing.T, g *gate, restart func()) {
		ids := map[string]string{}
		for _, token := range []string{tokenAgent, tokenSource, tokenMany} {
			for _, path := range []string{"/stream", "/api/answer"} {
				ids[token+" "+path] = g.ask(path, token, "q", "").conversation(t)
			}
		}
		restart()
		for name, id := range ids {
			mine, path, _ := strings.Cut(name, " ")
			for _, token := range []string{tokenAgent, tokenSource, tokenMany} {
				want := "1"
				if token == mine {
					want = "2"
				}
				if n := g.turn(path, token, id); n != want {
					t.Errorf("%s of %s, with %s: turn %s", path, mine, token, n)
				}
			}
		}
		r := g.send(http.MethodPost, "/api/feedback", `{"question":"q","answer":"a","feedback":"LIKE","api_key":"`+tokenAgent+
			`","conversation_id":"`+ids[tokenAgent+" /stream"]+`","question_index":0}`)
		if r.status != http.StatusOK {
			t.Errorf("feedback: %d %s", r.status, r.body)
		}
	})
}

// A conversation stays blocked after a restart: with a call of a tool, or with an answer that was not read to its end.
func TestBlockedConversationsSurviveRestart(t *testing.T) {
	testRestart(t, func(t *testing.T, g *gate, restart func()) {
		var called, unread, kept string
		for _, to := range []*string{&called, &unread, &kept} {
			*to = g.ask("/stream", tokenSource, "q", "").conversation(t)
		}
		g.ask("/stream", tokenSource, "[[tool=memory]]", fmt.Sprintf(`,"conversation_id":%q`, called))
		g.disconnectDuring(tokenSource, unread, func() {})
		if n := g.turn("/stream", tokenSource, kept); n != "2" {
			t.Errorf("turn %s", n)
		}
		for range 2 {
			for name, id := range map[string]string{"a call of a tool": called, "an answer that was not read": unread} {
				for _, path := range []string{"/stream", "/api/answer"} {
					if n := g.turn(path, tokenSource, id); n != "1" {
						t.Errorf("a conversation with %s continues: turn %s", name, n)
					}
				}
			}
			restart()
		}
		if n := g.turn("/stream", tokenSource, kept); n != "3" {
			t.Errorf("turn %s", n)
		}
	})
}

// Losing a file costs continuity, never access control.
func TestLostIDFiles(t *testing.T) {
	testRestart(t, func(t *testing.T, g *gate, restart func()) {
		lose := func(name string) {
			t.Helper()
			if err := os.Remove(g.idFile(name)); err != nil {
				t.Fatal(err)
			}
		}
		ask := func() (agent, source, called string) {
			agent, source = g.ask("/stream", tokenAgent, "q", "").conversation(t), g.ask("/stream", tokenSource, "q", "").conversation(t)
			called = g.ask("/stream", tokenSource, "q", "").conversation(t)
			g.ask("/stream", tokenSource, "[[tool=memory]]", fmt.Sprintf(`,"conversation_id":%q`, called))
			return agent, source, called
		}
		for name, agentGoesOn := range map[string]string{"blocked": "2", "secret": "1"} {
			agent, source, called := ask()
			lose(name)
			restart()
			for id, tc := range map[string]struct{ token, want string }{
				agent: {tokenAgent, agentGoesOn}, source: {tokenSource, "1"}, called: {tokenSource, "1"},
			} {
				if n := g.turn("/stream", tc.token, id); n != tc.want {
					t.Errorf("%s is lost, %s: turn %s, want %s", name, tc.token, n, tc.want)
				}
			}
		}
	})
}

func TestDamagedIDSecret(t *testing.T) {
	g := newGate(t)
	site := fmt.Sprintf(forwardModes["built-in"], g.address, "")
	g.start(site)
	id := g.ask("/stream", tokenAgent, "q", "").conversation(t)
	file := g.idFile("secret")
	for name, content := range map[string]string{"empty": "", "too short": "docsgate-id-secrets-1\n1 AAAA\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := g.load(g.config(site)); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
		if n := g.turn("/stream", tokenAgent, id); n == "1" {
			t.Errorf("%s: the running configuration does not know the ID any more", name)
		}
	}
}

// The secret is rotated with an overlap: IDs of the previous secret are valid until it is removed.
func TestRotateIDSecret(t *testing.T) {
	g := newGate(t)
	site := fmt.Sprintf(forwardModes["built-in"], g.address, "")
	g.start(site)
	early := g.ask("/stream", tokenAgent, "q", "").conversation(t)
	if _, err := signedid.RotateFile(g.idFile("secret"), 1); err != nil {
		t.Fatal(err)
	}
	if err := g.load(g.config(site)); err != nil {
		t.Fatal(err)
	}
	if n := g.turn("/stream", tokenAgent, early); n != "2" {
		t.Errorf("an ID of the previous secret: turn %s", n)
	}
	late := g.ask("/stream", tokenAgent, "q", "").conversation(t)
	if _, err := signedid.RotateFile(g.idFile("secret"), 1); err != nil {
		t.Fatal(err)
	}
	g.restart(site)
	if n := g.turn("/stream", tokenAgent, late); n != "2" {
		t.Errorf("after a restart: turn %s", n)
	}
	if n := g.turn("/stream", tokenAgent, early); n != "1" {
		t.Errorf("an ID of a secret that was removed: turn %s", n)
	}
}

// Two gates with the same secret accept each other's IDs, except those of conversations that only one of them may have blocked.
func TestTwoGatesWithOneSecret(t *testing.T) {
	g := newGate(t)
	site := fmt.Sprintf(forwardModes["built-in"], g.address, "")
	g.start(site)
	agent, source := g.ask("/stream", tokenAgent, "q", "").conversation(t), g.ask("/stream", tokenSource, "q", "").conversation(t)
	secret, err := os.ReadFile(g.idFile("secret"))
	if err != nil {
		t.Fatal(err)
	}
	g.dir = t.TempDir()
	t.Setenv("XDG_DATA_HOME", filepath.Join(g.dir, "data"))
	if err := os.MkdirAll(filepath.Dir(g.idFile("secret")), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.idFile("secret"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	g.restart(site)
	if n := g.turn("/stream", tokenAgent, agent); n != "2" {
		t.Errorf("the other gate does not accept the ID: turn %s", n)
	}
	if n := g.turn("/stream", tokenSource, source); n != "1" {
		t.Errorf("the other gate continues a conversation that may be blocked: turn %s", n)
	}
}

// No other spelling of an ID is accepted, and nothing of it is forwarded.
func TestForgedConversationIDs(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for _, token := range []string{tokenAgent, tokenSource} {
			signed := g.ask("/stream", token, "q", "").conversation(t)
			bare := bareID(t, signed)
			signature := signed[len(bare)+1:]
			other := g.ask("/stream", token, "q", "").conversation(t)
			for name, forged := range map[string]string{
				"bare":                      bare,
				"upper case":                strings.ToUpper(signed),
				"the ID in upper case":      strings.ToUpper(bare) + "." + signature,
				"truncated":                 signed[:len(signed)-1],
				"longer":                    signed + "A",
				"separator twice":           bare + ".." + signature,
				"signed twice":              signed + "." + signature,
				"percent-encoded separator": bare + "%2E" + signature,
				"blank before":              " " + signed,
				"another ID's signature":    bare + "." + other[len(bareID(t, other))+1:],
				"another secret":            bare + "." + signature[:1] + "g" + signature[2:],
				"the path of the parent":    "../" + signed,
				"huge":                      strings.Repeat(signed, 1000),
			} {
				for _, path := range []string{"/stream", "/api/answer"} {
					if n := g.turn(path, token, forged); n != "1" || strings.Contains(string(g.lastCall().Body), "conversation_id") {
						t.Errorf("%s: turn %s, forwarded %.300s", name, n, g.lastCall().Body)
					}
				}
				before := len(g.backend.Calls())
				r := g.send(http.MethodPost, "/api/feedback", fmt.Sprintf(
					`{"feedback":"LIKE","api_key":%q,"conversation_id":%q,"question_index":0}`, tokenAgent, forged))
				if r.status != http.StatusNotFound || len(g.backend.Calls()) != before {
					t.Errorf("%s: feedback: %d %s", name, r.status, r.body)
				}
			}
			// JSON has several spellings of the same string.
			if n := g.turn("/stream", token, signed); n != "2" {
				t.Errorf("turn %s", n)
			}
			escaped := strings.ReplaceAll(strings.ReplaceAll(signed, "-", `\u002d`), ".", `\u002E`)
			r := g.ask("/stream", token, "q", `,"conversation_id":"`+escaped+`"`)
			if !strings.Contains(r.body, "turns=3") || !strings.Contains(string(g.lastCall().Body), `"conversation_id":"`+bare+`"`) {
				t.Errorf("escaped: %s, forwarded %s", r.body, g.lastCall().Body)
			}
		}
	})
}

// A client learns the valid ID of a conversation only when no call of a tool can be reported any more.
func TestSignedIDPrecedesEnd(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		r := g.ask("/stream", tokenSource, "q", "")
		id := r.conversation(t)
		bare := bareID(t, id)
		if !strings.HasSuffix(strings.TrimSpace(r.body), `data: {"type": "id", "id": "`+id+"\"}\n\ndata: {\"type\": \"end\"}") {
			t.Errorf("the end of the stream: %s", r.body)
		}
		if !strings.Contains(r.body, `"conversation_id": "`+bare+`"`) {
			t.Errorf("the beginning of the stream: %s", r.body)
		}
		r = g.ask("/stream", tokenSource, "[[noend]]", "")
		if strings.Contains(r.body, `"type": "id"`) {
			t.Errorf("a stream without its end names the conversation: %s", r.body)
		}
		r = g.ask("/stream", tokenAgent, "q", "")
		id = r.conversation(t)
		if strings.Count(r.body, `"`+id+`"`) < 1 || strings.Contains(r.body, `"`+bareID(t, id)+`"`) {
			t.Errorf("a key of an agent: %s", r.body)
		}
	})
}

// An attachment that was uploaded before a restart can be used after it, and its task be polled. It still has one owner.
func TestUploadsSurviveRestart(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(keyFile() + fmt.Sprintf("  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenOther)))
			site := fmt.Sprintf(strings.Replace(fileSite(site), "attachments", "mcp attachments", 1), g.address, "")
			g.start(site)
			for token, foreign := range map[string]string{tokenAgent: tokenOther, tokenSource: tokenMany} {
				upload := g.sendForm("/api/store_attachment", filePart("a.txt"), keyPart(token)).made(t)
				session := g.session(tokenAgent)
				g.restart(site)
				if r := g.taskStatus(upload.TaskID); r.Status != "PROGRESS" {
					t.Errorf("%+v", r)
				}
				status := g.taskStatus(upload.TaskID)
				if bareID(t, fmt.Sprint(status.Result["attachment_id"])) != bareID(t, upload.AttachmentID) {
					t.Errorf("%+v", status)
				}
				for _, id := range []string{upload.AttachmentID, fmt.Sprint(status.Result["attachment_id"])} {
					list := fmt.Sprintf(`,"attachments":[%q]`, id)
					if r := g.ask("/stream", token, "what?", list); !strings.Contains(r.body, "files=a.txt") {
						t.Errorf("its own key: %d %s", r.status, r.body)
					}
					checkErrorFormat(t, "/stream", g.ask("/stream", foreign, "what?", list), "attachment_not_found")
				}
				if m := g.message(tokenAgent, session, toolsList).rpc(t); m.Result == nil || len(m.Result.Tools) != 1 {
					t.Errorf("a session of MCP: %+v", m)
				}
				checkRPC(t, "another key's session", g.message(tokenOther, session, toolsList), http.StatusNotFound, -32001, "session_not_found")
			}
		})
	}
}

// No other spelling of an ID is accepted, and nothing of it is forwarded.
func TestForgedUploadIDs(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		upload := g.sendForm("/api/store_attachment", filePart("a.txt"), keyPart(tokenAgent)).made(t)
		conversation := g.ask("/stream", tokenAgent, "q", "").conversation(t)
		before := len(g.backend.Calls())
		for name, forge := range map[string]func(signed string) string{
			"bare":              func(s string) string { id, _, _ := strings.Cut(s, "."); return id },
			"upper case":        strings.ToUpper,
			"truncated":         func(s string) string { return s[:len(s)-1] },
			"separator twice":   func(s string) string { return strings.Replace(s, ".", "..", 1) },
			"another version":   func(s string) string { return strings.Replace(s, ".A", ".B", 1) },
			"of a conversation": func(string) string { return conversation },
			"a task, an attachment": func(s string) string {
				return map[bool]string{true: upload.AttachmentID, false: upload.TaskID}[s == upload.TaskID]
			},
			"huge": func(s string) string { return strings.Repeat(s, 30) },
		} {
			r := g.ask("/stream", tokenAgent, "what?", fmt.Sprintf(`,"attachments":[%q,%q]`, upload.AttachmentID, forge(upload.AttachmentID)))
			if r.status != http.StatusNotFound {
				t.Errorf("attachment, %s: %d %s", name, r.status, r.body)
			}
			if r := g.send(http.MethodGet, "/api/task_status?task_id="+forge(upload.TaskID), ""); r.status != http.StatusNotFound {
				t.Errorf("task, %s: %d %s", name, r.status, r.body)
			}
		}
		if after := len(g.backend.Calls()); after != before {
			t.Errorf("DocsGPT got %d requests", after-before)
		}
		if r := g.ask("/stream", tokenAgent, "what?", fmt.Sprintf(`,"attachments":[%q]`, upload.AttachmentID)); r.status != http.StatusOK ||
			!strings.Contains(g.lastBody(), `"attachments":["`+bareID(t, upload.AttachmentID)+`"]`) {
			t.Errorf("%d, forwarded %s", r.status, g.lastBody())
		}
		if g.taskStatus(upload.TaskID); g.lastCall().RawQuery != "task_id="+strings.Split(upload.TaskID, ".")[0] {
			t.Errorf("forwarded %s", g.lastCall().RawQuery)
		}
	})
}
