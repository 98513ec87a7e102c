package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The task of an upload and the resulting attachment belong to the key of the upload.
func TestAttachmentOwnership(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		for name, c := range map[string]struct{ token, foreign string }{
			"an agent's":      {tokenAgent, tokenOther},
			"a source's":      {tokenSource, tokenMany},
			"agent, source":   {tokenAgent, tokenSource},
			"source, agent":   {tokenSource, tokenAgent},
			"second of agent": {tokenOther, tokenAgent},
		} {
			t.Run(name, func(t *testing.T) {
				one := g.sendForm("/api/store_attachment", filePart("one.txt"), keyPart(c.token)).made(t)
				two := g.sendForm("/api/store_attachment", filePart("a.txt"), filePart("b.txt"), keyPart(c.token)).made(t)
				if len(two.Tasks) != 2 || one.TaskID == "" || one.AttachmentID == "" {
					t.Fatalf("%+v %+v", one, two)
				}
				ids := []string{one.AttachmentID}
				for i, task := range append(two.Tasks, one) {
					if i < 2 {
						ids = append(ids, task.AttachmentID)
					}
					status := g.taskStatus(task.TaskID)
					if status.Status != "PROGRESS" {
						t.Errorf("%+v", status)
					}
					if status = g.taskStatus(task.TaskID); status.Status != "SUCCESS" || bareID(t, fmt.Sprint(status.Result["attachment_id"])) != bareID(t, task.AttachmentID) {
						t.Errorf("%+v", status)
					}
					if status.Result["filename"] == nil || status.Result["path"] != nil {
						t.Errorf("the result lacks fields, or contains the name of the owner: %v", status.Result)
					}
				}
				list, err := json.Marshal(ids)
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{"/stream", "/api/answer"} {
					r := g.ask(path, c.token, "what?", `,"attachments":`+string(list))
					if r.status != http.StatusOK || !strings.Contains(r.body, "files=one.txt,a.txt,b.txt") {
						t.Errorf("its own key: %d %s", r.status, r.body)
					}
					g.backend.Calls()
					before := len(g.backend.Calls())
					r = g.ask(path, c.foreign, "what?", `,"attachments":`+string(list))
					checkErrorFormat(t, path, r, "attachment_not_found")
					r = g.ask(path, c.token, "what?", `,"attachments":["00000000-0000-0000-0000-000000000000"]`)
					checkErrorFormat(t, path, r, "attachment_not_found")
					r = g.ask(path, c.token, "what?", `,"attachments":"`+ids[0]+`"`)
					checkErrorFormat(t, path, r, "bad_request")
					r = g.ask(path, c.token, "what?", `,"attachments":[{"$ne":null}]`)
					checkErrorFormat(t, path, r, "bad_request")
					if after := len(g.backend.Calls()); after != before {
						t.Errorf("DocsGPT got %d requests", after-before)
					}
					if r = g.ask(path, c.token, "what?", `,"attachments":null`); r.status != http.StatusOK {
						t.Errorf("null: %d %s", r.status, r.body)
					}
				}
			})
		}
		for name, query := range map[string]string{
			"unknown": "?task_id=00000000-0000-0000-0000-000000000000", "another kind": "?task_id=x&task=y",
		} {
			r := g.send(http.MethodGet, "/api/task_status"+query, "")
			if r.status != http.StatusNotFound {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
			checkErrorFormat(t, "/api/task_status", r, "task_not_found")
		}
		checkErrorFormat(t, "/api/task_status", g.send(http.MethodGet, "/api/task_status", ""), "bad_request")
		checkErrorFormat(t, "/api/task_status", g.send(http.MethodGet, "/api/task_status?task_id=a&task_id=b", ""), "bad_request")
	})
}

// taskStatus requests the status of a task without a key, like widgets do.
func (g *gate) taskStatus(task string) uploadResponse {
	g.t.Helper()
	return g.send(http.MethodGet, "/api/task_status?task_id="+task, "").made(g.t)
}

// If uploads are not enabled, attachments are removed from chats, even those of the owner.
func TestAttachmentsDroppedIfNotEnabled(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		r := g.ask("/stream", tokenAgent, "what?", `,"attachments":["a"]`)
		if r.status != http.StatusOK || strings.Contains(string(g.lastCall().Body), "attachments") {
			t.Errorf("%d %s", r.status, g.lastCall().Body)
		}
		checkErrorFormat(t, "/api/store_attachment", g.sendForm("/api/store_attachment", filePart("a"), keyPart(tokenAgent)), "not_found")
		checkErrorFormat(t, "/api/task_status", g.send(http.MethodGet, "/api/task_status?task_id=a", ""), "not_found")
	})
}

func TestUploadsOfOtherVersions(t *testing.T) {
	for version, c := range map[string]struct {
		token  string
		status int
	}{
		"0.14, agent":  {tokenAgent, http.StatusForbidden},
		"0.14, source": {tokenSourceObject, http.StatusOK},
		"0.15, agent":  {tokenAgent, http.StatusOK},
	} {
		t.Run(version, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(fmt.Sprintf("keys:\n  - {id: agent, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n"+
				"  - {id: object, sha256: %s, source: [\"0123456789abcdef01234567\"]}\n", sha(tokenAgent), sha(tokenSourceObject)))
			config := g.config("docsgate " + g.address + " {\nendpoints attachments\n}\n")
			number, _, _ := strings.Cut(version, ",")
			if err := g.load(strings.Replace(config, "upstream_token", "docsgpt_version "+number+"\nupstream_token", 1)); err != nil {
				t.Fatal(err)
			}
			r := g.sendForm("/api/store_attachment", filePart("a.txt"), keyPart(c.token))
			if r.status != c.status {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if c.status == http.StatusForbidden {
				checkErrorFormat(t, "/api/store_attachment", r, "binding_not_supported")
			}
		})
	}
}

// tokenSourceObject is bound to a source of a version of DocsGPT whose source IDs are ObjectIds.
const tokenSourceObject = "canary-token-object"
