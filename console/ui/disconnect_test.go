package ui

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// A browser that disconnects when the change begins must not interrupt it.
func TestDisconnectedBrowserInterruptsNoChange(t *testing.T) {
	disconnect := func() {}
	w := newTestServer(t, func(o *Options) {
		o.Actor = func(*http.Request) registry.Actor { disconnect(); return fixtures.TestActor }
	})
	id, token := w.makeUsual()
	post := func(path string, form url.Values) int {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		disconnect = cancel
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode())).WithContext(ctx)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		status := w.do(r).Code
		if ctx.Err() == nil {
			t.Fatal("the browser did not disconnect")
		}
		return status
	}
	key := func() *keys.Key { return w.desk.Store.Get(id) }

	before := w.count()
	post("/new", url.Values{
		"nonce": {w.page.FormNonces.issue(createPurpose)}, "name": {"Other"}, "binding": {"source"}, "sources": {"handbook"}, "unknown_sources": {"handbook"}, "lifetime": {"never"},
	})
	if w.count() != before+1 {
		t.Error("the key was not created")
	}
	post("/keys/"+id, url.Values{"was_name": {"Docs site"}, "name": {"New name"}})
	if key().Name != "New name" {
		t.Error("the key was not updated")
	}
	post("/keys/"+id+"/rotate", url.Values{"nonce": {w.page.FormNonces.issue(rotatePurpose(id))}, "grace": {"0"}})
	if key().Digest == keys.DigestOf(token) {
		t.Error("the key was not rotated")
	}
	for _, c := range []struct {
		path  string
		state keys.State
	}{{"/disable", keys.Disabled}, {"/enable", keys.Active}, {"/revoke", keys.Revoked}} {
		if status := post("/keys/"+id+c.path, nil); status != http.StatusSeeOther || key().State != c.state {
			t.Errorf("%s: status %d, the key is %v", c.path, status, key().State)
		}
	}
}
