package ui

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// The changes of keys that no feed has any more are listed by pages and can be removed, but not while a feed is unavailable.
func TestMissingKeys(t *testing.T) {
	w := newTestServer(t)
	w.desk.Store.SetReady(true)
	defer w.desk.Registry.ApplyOverrides(w.desk.Store)()
	w.makeUsual()
	if page := w.get("/"); strings.Contains(page.body, "/missing") {
		t.Error("the list mentions missing keys")
	}
	w.want(w.get("/missing"), http.StatusOK, "There are no missing keys.")
	const missing = perPage + 5
	for i := range missing {
		k := &keys.Key{ID: fmt.Sprintf("agent_%03d", i), Name: "Agent", Feed: "docsgpt:db"}
		if err := w.desk.Registry.UpdateOverride(t.Context(), fixtures.TestActor, k, registry.UpdateRequest{State: new(keys.Disabled)}); err != nil {
			t.Fatal(err)
		}
	}
	w.want(w.get("/"), http.StatusOK, fmt.Sprintf("%d keys with changes are in no feed any more", missing))
	w.want(w.get("/missing"), http.StatusOK, "agent_000", "agent_049", "state; changed", "Next page")
	second := w.get("/missing?after=agent_049")
	w.want(second, http.StatusOK, "agent_050", "agent_054", "First page")
	if strings.Contains(second.body, "/missing/agent_049/remove") || strings.Contains(second.body, "Next page") {
		t.Error("the second page is wrong")
	}
	a := w.post("/missing/agent_001/remove")
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/missing?removed=agent_001" {
		t.Fatalf("removed: %d, %s", a.Code, a.Header().Get("Location"))
	}
	page := w.get(a.Header().Get("Location"))
	w.want(page, http.StatusOK, "The changes of the key agent_001 are removed.")
	if strings.Contains(page.body, "/missing/agent_001/remove") || w.desk.Registry.Override("agent_001") != nil {
		t.Error("the changes are still there")
	}
	w.want(w.get("/audit"), http.StatusOK, "removed the changes of a key of another feed: disabled")
	w.want(w.post("/missing/agent_001/remove"), http.StatusNotFound)
	w.want(w.post("/missing/status-page/remove"), http.StatusConflict, "A feed has this key.")

	w.desk.Store.SetFeedUnavailable("docsgpt:db", true)
	w.want(w.get("/missing"), http.StatusOK, "Not every feed is loaded")
	w.want(w.post("/missing/agent_002/remove"), http.StatusServiceUnavailable, "missing only temporarily")
	if w.desk.Registry.Override("agent_002") == nil {
		t.Error("the changes are removed while a feed is unavailable")
	}
}
