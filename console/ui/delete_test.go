package ui

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// makeRevoked creates a key and revokes it.
func (w *testServer) makeRevoked(name string) (id, token string) {
	w.Helper()
	id, token = w.make("name", name, "binding", "source", "sources", "handbook", "lifetime", "never")
	w.leadsTo(w.post("/keys/"+id+"/revoke"), "/keys/"+id+"?done=revoked")
	return id, token
}

func TestDelete(t *testing.T) {
	w := newTestServer(t)
	id, token := w.makeRevoked("Old <site>")
	w.want(w.get("/keys/"+id), 200, "Delete")
	w.want(w.get("/keys/"+id+"/delete"), 200, "Delete this key?", "Old <site>", id, "What is lost", "secrets for signing", "use of its quotas",
		"What remains", "audit trail of the key", "Its ID and its last token", "This cannot be undone.")
	if _, err := w.desk.Registry.Get(t.Context(), id); err != nil {
		t.Fatal("it was deleted by a look at the page")
	}

	w.desk.Clock.At = start.Add(time.Hour)
	w.leadsTo(w.post("/keys/"+id+"/delete"), "/?deleted="+id)
	if w.desk.Store.Get(id) != nil || w.desk.Store.Lookup(keys.DigestOf(token)) != nil {
		t.Error("the key is still in memory")
	}
	list := w.get("/?deleted=" + id)
	w.want(list, 200, "The key Old <site> is deleted. Its audit trail remains.", "2 keys")
	if strings.Contains(list.body, "/keys/"+id) || !strings.Contains(list.body, `href="/audit?key=`+id+`"`) {
		t.Error("the list has the key, or no link to its audit trail")
	}
}

func TestOnlyRevokedKeysAreDeleted(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	for _, state := range []string{"active", "disabled"} {
		if state == "disabled" {
			w.leadsTo(w.post("/keys/"+id+"/disable"), "/keys/"+id+"?done=disabled")
		}
		if page := w.get("/keys/" + id).body; strings.Contains(page, id+"/delete") {
			t.Errorf("%s: the key is offered to be deleted", state)
		}
		for _, no := range []response{w.get("/keys/" + id + "/delete"), w.post("/keys/" + id + "/delete")} {
			w.want(no, http.StatusConflict, "Revoke it first: only a revoked key can be deleted.")
		}
		if _, err := w.desk.Registry.Get(t.Context(), id); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// All pages of a deleted key say that it was deleted, and lead to the audit trail.
func TestDeletedKeyPages(t *testing.T) {
	w := newTestServer(t)
	id, token := w.makeRevoked("Old site")
	w.post("/keys/" + id + "/delete")
	for _, a := range []response{
		w.get("/keys/" + id), w.get("/keys/" + id + "/delete"), w.get("/keys/" + id + "/revoke"), w.get("/keys/" + id + "/rotate"),
		w.post("/keys/" + id + "/delete"), w.post("/keys/" + id + "/revoke"), w.post("/keys/" + id + "/enable"),
		w.post("/keys/"+id, "was_name", "", "name", "x"),
	} {
		w.want(a, http.StatusNotFound, "This key was deleted on 2026-11-23 14:30 UTC. Its audit trail remains.")
		if !strings.Contains(a.body, `href="/audit?key=`+id+`"`) {
			t.Error("no link to the audit trail")
		}
	}
	other, _ := w.makeRevoked("Still here")
	for _, id := range []string{other, "none", token, "status-page", "<b>"} {
		a := w.get("/?deleted=" + id)
		if w.want(a, 200); strings.Contains(text(a.body), "is deleted") {
			t.Errorf("%s: the list says that a key was deleted", id)
		}
	}
	w.want(w.get("/keys/none"), http.StatusNotFound, "There is no key with this ID.")
	if len(w.faults) > 0 {
		t.Error(w.faults)
	}
}

// The audit trail of a deleted key remains, can be filtered, and does not link to pages that do not exist.
func TestAuditTrailOfDeletedKey(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeRevoked("Old site")
	other, _ := w.makeRevoked("Still here")
	w.post("/keys/" + id + "/delete")
	for query, entries := range map[string]int{"": 5, "?key=" + id: 3, "?action=deleted": 1, "?action=deleted&key=" + other: 0} {
		a := w.get("/audit" + query)
		if w.want(a, 200); strings.Count(a.body, "<li>") != entries {
			t.Errorf("%q: %d entries, want %d", query, strings.Count(a.body, "<li>"), entries)
		}
		if strings.Contains(a.body, `"/keys/`+id) {
			t.Errorf("%q: a link to the page of the deleted key", query)
		}
		if query == "" && !strings.Contains(a.body, `"/keys/`+other) {
			t.Error("no link to the page of the other key")
		}
	}
	w.want(w.get("/audit?key="+id), 200, "Entries of the key Old site "+id, "Deleted", "alice from 192.0.2.7")
	w.leadsTo(w.post("/audit", "key", id, "action", "deleted"), "/audit?action=deleted&key="+id)
}

func TestActionLabels(t *testing.T) {
	for _, action := range registry.Actions() {
		if actionWords[action] == "" {
			t.Errorf("%s has no label", action)
		}
	}
	if len(actionWords) != len(registry.Actions()) {
		t.Error("there are labels of unknown actions")
	}
}

// Of two administrators who delete a key at the same time, the second one is told what has happened.
func TestDeletedByAnother(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeRevoked("Old site")
	w.page.Actor = func(r *http.Request) registry.Actor { // is called between the check of the key and the deletion
		_ = w.desk.Registry.Delete(r.Context(), fixtures.TestActor, id)
		return fixtures.TestActor
	}
	w.want(w.post("/keys/"+id+"/delete"), http.StatusNotFound, "This key was deleted on")
}
