package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Some endpoints of DocsGPT accept a key only in the query. The gate puts the agent key there, but handlers after the gate do not
// log it.
func TestAgentKeyInQueryNotLogged(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		g.send(http.MethodPost, "/api/tts", `{"text":"Hello"}`, "Authorization", "Bearer "+tokenAgent)
		if query := g.lastCall().RawQuery; query != "api_key="+agentAlpha {
			t.Fatalf("DocsGPT got the query %q", query)
		}
		assertNoSecrets(t, "the log", g.logs())
	})
}

// Fields that are not for clients are removed from a long response, too. A response that is too long to be checked is an error.
func TestLongTaskStatusRedacted(t *testing.T) {
	const canary = "/srv/docsgpt/owner-of-all/secret"
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g, length := newGate(t), 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/api/task_status" {
					fmt.Fprintf(w, `{"status":"FAILURE","result":"%s %s"}`, canary, strings.Repeat("x", length))
					return
				}
				fmt.Fprint(w, `{"success":true,"task_id":"1d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}`)
			}))
			t.Cleanup(server.Close)
			g.start(fmt.Sprintf(fileSite(site), strings.TrimPrefix(server.URL, "http://"), ""))
			task := g.sendForm("/api/store_attachment", keyPart(tokenAgent), filePart("a.txt")).made(t).TaskID
			for _, tc := range []struct{ length, status int }{
				{2 << 20, http.StatusOK}, {17 << 20, http.StatusBadGateway},
			} {
				length = tc.length
				answer := g.send(http.MethodGet, "/api/task_status?task_id="+task, "")
				if answer.status != tc.status || strings.Contains(answer.body, canary) || len(answer.body) > 1000 {
					t.Errorf("%d bytes: %d, and %d bytes of it: %.80s", length, answer.status, len(answer.body), answer.body)
				}
			}
		})
	}
}
