package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The console accepts only the agents in the configuration and the keys of other feeds, and its responses do not reveal which files
// and variables exist; in a dry run, too. Caddy's admin endpoint accepts all references.
func TestConsoleAcceptsListedAgentsOnly(t *testing.T) {
	for name, way := range forwardModes {
		t.Run(name, func(t *testing.T) {
			i := newStoreTest(t)
			t.Setenv("ADMIN", adminToken)
			there, listed := filepath.Join(i.dir, "there"), filepath.Join(i.dir, "listed")
			for _, file := range []string{there, listed} {
				if err := os.WriteFile(file, []byte(agentAlpha+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			i.start(fmt.Sprintf(way, i.address, ""), "docsgate_console {\nadmin_token {env.ADMIN}\nagents {env.AGENT_BETA} {file."+listed+"}\n}\n")
			ask := func(path, body string) (int, string) {
				t.Helper()
				a := i.sendTo(i.urls[1], http.MethodPost, path, body, "Authorization", "Bearer "+adminToken)
				return a.status, a.body
			}
			for _, c := range []struct{ path, body string }{
				{"/v1/keys", `{"name":"n","agent":"%s"}`},
				{"/v1/import", `{"keys":[{"name":"n","agent":"%s"}],"dry_run":true}`},
				{"/v1/import", `{"keys":[{"name":"n","agent":"%s"}]}`},
			} {
				said := map[string]bool{}
				for _, reference := range []string{"{file." + there + "}", "{file." + there + ".not}", "{env.PATH}", "{env.NOT_THERE}", "{env.AGENT_ALPHA}"} {
					status, body := ask(c.path, fmt.Sprintf(c.body, reference))
					if status != http.StatusUnprocessableEntity || !strings.Contains(body, `"agent_not_listed"`) {
						t.Errorf("%s %s: %d %s", c.path, reference, status, body)
					}
					said[body] = true
				}
				if len(said) != 1 {
					t.Errorf("%s: the responses reveal which references exist: %v", c.path, said)
				}
			}
			for reference, source := range map[string]string{"{env.AGENT_BETA}": "beta", "{file." + listed + "}": "alpha", "agent": "alpha"} {
				status, body := ask("/v1/keys", fmt.Sprintf(`{"name":"n","agent":"%s"}`, reference))
				if status != http.StatusCreated {
					t.Fatalf("%s: %d %s", reference, status, body)
				}
				var made struct{ Token string }
				if err := json.Unmarshal([]byte(body), &made); err != nil {
					t.Fatal(err)
				}
				if r := i.ask("/api/answer", made.Token, "Q", ""); r.status != 200 || !strings.Contains(r.body, "source="+source) {
					t.Errorf("%s: %d %s", reference, r.status, r.body)
				}
			}
			// The admin endpoint, and the audit trail.
			if status, answer := i.call(http.MethodPost, "/v1/keys", `{"name":"n","agent":"{file.`+there+`}"}`); status != http.StatusCreated {
				t.Errorf("on the admin endpoint: %d %v", status, answer)
			}
			_, audit := i.call(http.MethodGet, "/v1/audit", "")
			if all := fmt.Sprint(audit); !strings.Contains(all, "rejected") || !strings.Contains(all, there+".not") || strings.Contains(all, agentAlpha) {
				t.Errorf("audit trail: %v", all)
			}
		})
	}
}
