package caddymodule_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// secretOf returns the path of the secret of a gate with a data folder.
func secretOf(data string) string { return filepath.Join(data, "caddy", "docsgate", "store.secret") }

// switchGate stops the gate, and starts another one, which has no state but the database and the secret of the first.
func (i *storeTest) switchGate(site string) {
	i.t.Helper()
	if err := caddy.Stop(); err != nil {
		i.t.Fatal(err)
	}
	data := i.t.TempDir()
	secret, err := os.ReadFile(secretOf(os.Getenv("XDG_DATA_HOME")))
	i.t.Setenv("XDG_DATA_HOME", data)
	if err == nil {
		// Without the secret it does not start.
		err = i.load(i.config(site))
		if err == nil || !strings.Contains(err.Error(), "copy the file "+secretOf(data)) {
			i.t.Errorf("without the secret: %v", err)
		}
		if _, err := os.Stat(secretOf(data)); err == nil {
			i.t.Error("it has created another secret")
		}
		err = errors.Join(os.MkdirAll(filepath.Dir(secretOf(data)), 0o700), os.WriteFile(secretOf(data), secret, 0o600))
	}
	if err == nil {
		err = i.load(i.config(site))
	}
	if err != nil {
		i.t.Fatal(err)
	}
}

// IDs that a gate has signed are valid at another one with the same database, also those of rotated secrets, and conversations that one has
// blocked stay blocked.
func TestIDsOfAnotherGate(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			i := newDatabaseTest(t)
			site := fmt.Sprintf(site, i.address, "")
			i.start(site)
			ids := map[string]string{} // by token
			ask := func() (id string) { return i.ask("/stream", tokenSource, "q", "").conversation(t) }
			called, unread := ask(), ask()
			ids[tokenSource], ids[tokenAgent] = ask(), i.ask("/stream", tokenAgent, "q", "").conversation(t)
			i.ask("/stream", tokenSource, "[[tool=memory]]", fmt.Sprintf(`,"conversation_id":%q`, called))
			i.disconnectDuring(tokenSource, unread, func() {})
			if status, body := i.call(http.MethodPost, "/v1/id-secrets/rotate", `{"delay":"0s"}`); status != http.StatusCreated {
				t.Fatalf("%d %v", status, body)
			}
			for turn := 2; turn < 4; turn++ {
				i.switchGate(site)
				for token, id := range ids {
					if n := i.turn("/stream", token, id); n != fmt.Sprint(turn) {
						t.Errorf("%s: turn %s, want %d", token, n, turn)
					}
				}
				for name, id := range map[string]string{"a call of a tool": called, "an answer that was not read": unread} {
					if n := i.turn("/stream", tokenSource, id); n != "1" {
						t.Errorf("a conversation with %s continues: turn %s", name, n)
					}
				}
			}
			if status, body := i.call(http.MethodPost, "/v1/id-secrets/rotate", `{"end_previous":true}`); status != http.StatusCreated {
				t.Fatalf("%d %v", status, body)
			}
			waitFor(t, "IDs of before are unknown", func() bool { return i.turn("/stream", tokenAgent, ids[tokenAgent]) == "1" })
		})
	}
}

// The secret that encrypts can be that of an option.
func TestSecretOption(t *testing.T) {
	i := newDatabaseTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	i.store = "{env.STORE_URI} {\nsecret {env.NEWER} {env.EARLIER}\n}"
	newer, earlier := strings.Repeat("B", 42)+"A=", strings.Repeat("C", 42)+"A="
	t.Setenv("NEWER", "docsgate-secret-1 "+earlier)
	t.Setenv("EARLIER", earlier)
	i.start(site)
	i.create(`{"name":"k","agent_key":"0f0c2b7e-1d34-4a6b-8c9d-0123456789ab"}`)
	if _, err := os.Stat(secretOf(os.Getenv("XDG_DATA_HOME"))); err == nil {
		t.Error("there is a file, too")
	}
	t.Setenv("NEWER", newer)
	if err := i.load(i.config(site)); err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	waitFor(t, "all gates have the newer secret", func() (done bool) {
		var status int
		status, report = i.call(http.MethodPost, "/v1/secrets/rotate", "")
		return status == http.StatusOK
	})
	if report["reencrypted"] != 2.0 || len(report["remaining"].(map[string]any)) != 0 || len(report["retained"].([]any)) != 0 {
		t.Errorf("%v", report)
	}
	t.Setenv("EARLIER", newer)
	if err := i.load(i.config(site)); err != nil {
		t.Errorf("without the earlier secret: %v", err)
	}
	t.Setenv("NEWER", earlier)
	t.Setenv("EARLIER", earlier)
	if err := i.load(i.config(site)); err == nil || !strings.Contains(err.Error(), "option secret") || strings.Contains(err.Error(), "CCCC") {
		t.Errorf("with the earlier secret only: %v", err)
	}
	t.Setenv("NEWER", "not-a-secret")
	if err := i.load(i.config(site)); err == nil || strings.Contains(err.Error(), "not-a-secret") {
		t.Errorf("with an invalid secret: %v", err)
	}
}
