package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/internal/pgtest"
)

// A key that DocsGPT has made gets a policy, and is disabled, without a change in DocsGPT and without a reload.
func TestOverrideOfDocsGPTKey(t *testing.T) {
	a := newDocsGPTFeedTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], a.address, "")
	start := func() {
		t.Helper()
		if err := a.load(a.config("poll_interval 20ms", site)); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() { _ = caddy.Stop() })
	const id = "agent_" + agentOfAlpha
	is := func(what, token string, status int, code string) {
		t.Helper()
		if r := a.ask("/api/answer", token, "Q", ""); r.status != status || !strings.Contains(r.body, code) {
			t.Errorf("%s: %d %s, want %d with %s", what, r.status, r.body, status, code)
		}
	}
	change := func(body string) {
		t.Helper()
		if status, response := a.call(http.MethodPatch, "/v1/keys/"+id, body); status != http.StatusOK {
			t.Fatalf("%d %v", status, response)
		}
	}
	_, public := a.create(`{"name":"For the page","agent":"` + id + `"}`)
	is("before", agentAlpha, 200, "source=alpha")
	change(`{"origins":["https://docs.example.com"]}`)
	is("a request without the origin", agentAlpha, 403, "origin_not_allowed")
	is("another key", agentBeta, 200, "source=beta")
	is("a token of the gate's own for the agent", public, 200, "source=alpha")
	change(`{"origins":null,"state":"disabled"}`)
	is("disabled", agentAlpha, 401, "")
	is("a token of the gate's own for the disabled key", public, 200, "source=alpha")

	pgtest.Exec(t, a.database, "UPDATE agents SET name = 'renamed' WHERE id = '"+agentOfAlpha+"'")
	waitFor(t, "the key is renamed", func() bool {
		_, k := a.call(http.MethodGet, "/v1/keys/"+id, "")
		return k["name"] == "renamed"
	})
	is("disabled and renamed", agentAlpha, 401, "")
	pgtest.Exec(t, a.database, "UPDATE agents SET key = NULL WHERE id = '"+agentOfAlpha+"'")
	waitFor(t, "the key is missing", func() bool {
		status, _ := a.call(http.MethodGet, "/v1/keys/"+id, "")
		return status == http.StatusNotFound
	})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	start()
	pgtest.Exec(t, a.database, "UPDATE agents SET key = '"+agentAlpha+"' WHERE id = '"+agentOfAlpha+"'")
	waitFor(t, "the key is back", func() bool {
		status, _ := a.call(http.MethodGet, "/v1/keys/"+id, "")
		return status == http.StatusOK
	})
	is("disabled, after it was missing and a restart", agentAlpha, 401, "")
	change(`{"state":"active"}`)
	is("enabled", agentAlpha, 200, "source=alpha")
}
