package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// leakOf returns the field "leaked" of a key in the API; nil: absent.
func (i *storeTest) leakOf(id string) map[string]any {
	i.t.Helper()
	_, key := i.call(http.MethodGet, "/v1/keys/"+id, "")
	leaked, _ := key["leaked"].(map[string]any)
	return leaked
}

// leakEntries returns the number of audit entries about a leak.
func (i *storeTest) leakEntries(id string) (n int) {
	i.t.Helper()
	_, trail := i.call(http.MethodGet, "/v1/audit?key="+id, "")
	entries, _ := trail["entries"].([]any)
	for _, e := range entries {
		if entry, _ := e.(map[string]any); entry["action"] == "leaked" && entry["who"] == "gate" {
			n++
		}
	}
	return n
}

// A secret key that a browser presents is marked once, until its token is replaced.
func TestLeakedKey(t *testing.T) {
	const origin = "https://docs.example.com"
	i := newStoreTest(t)
	i.writeKeys(policyKeys("kind: secret"))
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	i.start(site)
	id, token := i.create(`{"name":"Server","agent":"{env.AGENT_ALPHA}","kind":"secret"}`)
	ask := func(token, origin string) {
		t.Helper()
		if r := i.send(http.MethodPost, "/api/answer", `{"question":"q","api_key":"`+token+`"}`, "Origin", origin); r.status != http.StatusForbidden {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if r := i.ask("/api/answer", token, "q", ""); r.status != http.StatusOK || i.leakOf(id) != nil {
		t.Fatalf("used by a server: %d %s", r.status, r.body)
	}
	before := i.metric("caddy_docsgate_leaked_keys_total")
	for n := range 3 {
		ask(token, fmt.Sprintf("%s:%d", origin, 443+n))
	}
	waitFor(t, "the audit entry", func() bool { return i.leakEntries(id) > 0 })
	if i.metric("caddy_docsgate_leaked_keys_total") == before {
		t.Error("the metric does not count the key")
	}
	if leak := i.leakOf(id); leak["origin"] != origin || leak["since"] == nil {
		t.Errorf("leaked: %v", leak)
	}

	// The mark is stored, and a restart makes no second entry.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	i.start(site)
	if leak := i.leakOf(id); leak["origin"] != origin {
		t.Errorf("after a restart: %v", leak)
	}
	ask(token, origin)
	if n := i.leakEntries(id); n != 1 {
		t.Errorf("%d audit entries", n)
	}

	// A new token has not leaked, and the previous one does not mark it.
	if status, _ := i.call(http.MethodPost, "/v1/keys/"+id+"/rotate", `{"grace":"1h"}`); status != http.StatusOK || i.leakOf(id) != nil {
		t.Errorf("rotated: %d %v", status, i.leakOf(id))
	}
	ask(token, origin)
	if leak := i.leakOf(id); leak != nil {
		t.Errorf("by the previous token: %v", leak)
	}

	// A key of another feed is marked in memory. The text of the client is not stored unless it is an origin.
	ask(tokenAgent, "<script>*")
	waitFor(t, "the audit entry", func() bool { return i.leakEntries("agent") == 1 })
	if leak := i.leakOf("agent"); leak["since"] == nil || leak["origin"] != nil {
		t.Errorf("of a key file: %v", leak)
	}
	if strings.Contains(i.logs(), "storing that a key has leaked failed") {
		t.Error("storing the leak failed")
	}
}
