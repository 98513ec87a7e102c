package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// storeTest is a gate with the feed store, and Caddy's admin endpoint on a socket.
type storeTest struct {
	*gate
	store string // path, or the placeholder of the address of a database
	admin string // path of the socket
}

// newStoreTest returns a storeTest that is not started yet.
func newStoreTest(t *testing.T) *storeTest {
	t.Helper()
	// The path of a socket is at most 107 bytes long, and those of test folders are longer.
	dir, err := os.MkdirTemp("", "dg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := newGate(t)
	return &storeTest{gate: g, store: filepath.Join(g.dir, "store", "keys.db"), admin: filepath.Join(dir, "admin")}
}

func (i *storeTest) config(sites ...string) string {
	text := strings.Replace(i.gate.config(sites...), "feed file", "feed store "+i.store+"\n\t\tfeed file", 1)
	return strings.Replace(text, "admin off", "admin unix/"+i.admin, 1)
}

// start loads a configuration. It is stopped when the test ends.
func (i *storeTest) start(sites ...string) {
	i.t.Helper()
	if err := i.load(i.config(sites...)); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = caddy.Stop() })
}

// call calls the API on the admin endpoint, and decodes the response.
func (i *storeTest) call(method, path, body string) (int, map[string]any) {
	i.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", i.admin)
		},
	}}
	r, err := http.NewRequestWithContext(i.t.Context(), method, "http://127.0.0.1/docsgate"+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Docsgate-Actor", "alice")
	resp, err := client.Do(r)
	if err != nil {
		i.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	var answer map[string]any
	if resp.StatusCode == http.StatusNoContent {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		i.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return resp.StatusCode, answer
}

// create creates a key and returns its ID and token.
func (i *storeTest) create(body string) (id, token string) {
	i.t.Helper()
	status, made := i.call(http.MethodPost, "/v1/keys", body)
	if status != http.StatusCreated {
		i.t.Fatalf("%d %v", status, made)
	}
	return made["id"].(string), made["token"].(string)
}

func TestStoreFeed(t *testing.T) {
	testStoreFeed(t, newStoreTest, func(i *storeTest) string {
		stored, err := os.ReadFile(i.store)
		if err != nil {
			i.t.Fatal(err)
		}
		return string(stored)
	})
}

// testStoreFeed tests keys that the gate issues. read returns what is stored.
func testStoreFeed(t *testing.T, newTest func(*testing.T) *storeTest, read func(*storeTest) string) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			i := newTest(t)
			site := fmt.Sprintf(site, i.address, "")
			i.start(site)
			expect := func(what, token string, status int, said string) {
				t.Helper()
				if r := i.ask("/api/answer", token, "Q", ""); r.status != status || !strings.Contains(r.body, said) {
					t.Errorf("%s: %d %s, want %d with %s", what, r.status, r.body, status, said)
				}
			}
			id, token := i.create(`{"name":"A page","source":"` + strings.ToUpper(sourceAlpha) + `"}`)
			expect("a new key with a source", token, 200, "source=alpha")
			agentID, agentToken := i.create(`{"name":"An agent","agent":"{env.AGENT_BETA}"}`)
			expect("a new key with an agent by reference", agentToken, 200, "source=beta")
			_, encryptedToken := i.create(`{"name":"A pasted one","agent_key":"` + agentAlpha + `"}`)
			expect("a new key with a pasted agent", encryptedToken, 200, "source=alpha")
			_, adopted := i.create(`{"name":"For another feed's agent","agent":"agent"}`)
			expect("a new key with the agent of another feed's key", adopted, 200, "source=alpha")
			expect("a mistyped token", token[:len(token)-1]+"!", 401, "invalid_api_key")

			_, rotated := i.call(http.MethodPost, "/v1/keys/"+id+"/rotate", `{"grace":"1h"}`)
			second := rotated["token"].(string)
			expect("the new token", second, 200, "source=alpha")
			expect("the old one within its grace", token, 200, "source=alpha")
			if _, key := i.call(http.MethodGet, "/v1/keys/"+id, ""); key["previous_token_last_used"] == nil ||
				key["last_used"] == nil || key["id"] != id {
				t.Errorf("the last use of a token is missing: %v", key)
			}

			if err := i.load(i.config(site + "# another configuration\n")); err != nil {
				t.Fatal(err)
			}
			expect("after a reload", second, 200, "source=alpha")
			i.call(http.MethodPost, "/v1/keys/"+id+"/disable", "")
			expect("a disabled key", second, 401, "invalid_api_key")
			i.call(http.MethodPost, "/v1/keys/"+id+"/enable", "")
			expect("an enabled key", second, 200, "source=alpha")
			i.call(http.MethodPost, "/v1/keys/"+id+"/revoke", "")
			expect("a revoked key", second, 401, "invalid_api_key")
			expect("its old token", token, 401, "invalid_api_key")

			if status, said := i.call(http.MethodPost, "/v1/keys/source/revoke", ""); status != http.StatusConflict ||
				!strings.Contains(fmt.Sprint(said), "file:") {
				t.Errorf("revoking a key of the file: %d %v", status, said)
			}
			if _, trail := i.call(http.MethodGet, "/v1/audit?key="+id, ""); !strings.Contains(fmt.Sprint(trail), "alice") {
				t.Errorf("the audit trail has no actor: %v", trail)
			}

			// All keys are loaded again after the file was closed.
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			i.start(site)
			expect("after a restart", agentToken, 200, "source=beta")
			expect("an encrypted agent key after a restart", encryptedToken, 200, "source=alpha")
			expect("a revoked key after a restart", second, 401, "invalid_api_key")
			if _, key := i.call(http.MethodGet, "/v1/keys/"+agentID, ""); key["last_used"] == nil {
				t.Errorf("a restart forgot the use of a key: %v", key)
			}
			t.Setenv("AGENT_BETA", "")
			if err := i.load(i.config(site + "# with a variable gone\n")); err != nil {
				t.Fatal(err)
			}
			expect("a key whose agent cannot be read now", agentToken, 503, "not_configured")
			if _, key := i.call(http.MethodGet, "/v1/keys/"+agentID, ""); key["state"] != "unusable" ||
				!strings.Contains(fmt.Sprint(key["unusable_reason"]), "AGENT_BETA") {
				t.Errorf("no reason: %v", key)
			}
			logged := i.logs()
			assertNoSecrets(t, "the log", logged)
			for _, made := range []string{token, second, agentToken, encryptedToken, adopted} {
				if strings.Contains(logged, made) || strings.Contains(logged, sha(made)) {
					t.Error("a token or its digest was logged")
				}
			}
			stored := read(i)
			assertNoSecrets(t, "the store", stored)
			for _, made := range []string{token, second, agentToken, encryptedToken, adopted} {
				if strings.Contains(stored, made) {
					t.Error("the store contains a token")
				}
			}
		})
	}
}

// If a configuration cannot start, the running one keeps the store.
func TestRejectedConfigKeepsStoreOpen(t *testing.T) {
	i := newStoreTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	i.start(site)
	_, token := i.create(`{"name":"k","source":"` + sourceAlpha + `"}`)
	bad := strings.Replace(i.config(site), "upstream_token", "feed store "+i.store+".2\n\t\tupstream_token", 1)
	if err := i.load(bad); err == nil || !strings.Contains(err.Error(), "feed store is already specified") {
		t.Errorf("two stores: %v", err)
	}
	if err := i.load(strings.Replace(i.config(site), i.keys, i.keys+".missing", 1)); err == nil {
		t.Error("a configuration without its key file was loaded")
	}
	if r := i.ask("/api/answer", token, "Q", ""); r.status != 200 {
		t.Errorf("the key of the running configuration: %d %s", r.status, r.body)
	}
	if _, second := i.create(`{"name":"l","source":"` + sourceBeta + `"}`); i.ask("/api/answer", second, "Q", "").status != 200 {
		t.Error("a key that was created after a rejected configuration is not valid")
	}
}

func (i *storeTest) stop() {
	if err := caddy.Stop(); err != nil {
		i.t.Error(err)
	}
}
