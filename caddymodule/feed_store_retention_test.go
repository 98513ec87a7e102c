package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// age makes the revocations of keys older. The gate must not be running.
func (i *storeTest) age(by time.Duration, ids ...string) {
	i.t.Helper()
	store, err := boltstore.Open(i.t.Context(), boltstore.Options{Path: i.store})
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			i.t.Error(err)
		}
	}()
	for _, id := range ids {
		r, err := store.Get(i.t.Context(), id)
		if err != nil {
			i.t.Fatal(err)
		}
		r.Changed = r.Changed.Add(-by)
		if err := store.Write(i.t.Context(), []*registry.Record{r}, nil); err != nil {
			i.t.Fatal(err)
		}
	}
}

// Revoked keys are deleted after a year, or as configured.
func TestRetentionOfRevokedKeys(t *testing.T) {
	const day = 24 * time.Hour
	i := newStoreTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	i.start(site)
	var ids []string
	for _, age := range []int{366, 100, 0} {
		id, _ := i.create(fmt.Sprintf(`{"name":"%d days","source":"%s"}`, age, sourceAlpha))
		i.call(http.MethodPost, "/v1/keys/"+id+"/revoke", "")
		ids = append(ids, id)
	}
	kept, token := i.create(`{"name":"kept","source":"` + sourceAlpha + `"}`)
	i.stop()
	i.age(366*day, ids[0])
	i.age(100*day, ids[1])
	isDeleted := func(id string) bool {
		status, _ := i.call(http.MethodGet, "/v1/keys/"+id, "")
		return status == http.StatusNotFound
	}
	load := func(option string) {
		t.Helper()
		if err := i.load(strings.Replace(i.config(site), "feed store "+i.store, "feed store "+i.store+" {\n"+option+"\n}", 1)); err != nil {
			t.Fatal(err)
		}
	}
	load("delete_revoked_after off")
	if isDeleted(ids[0]) {
		t.Error("a key was deleted although the retention is off")
	}
	load("")
	waitFor(t, "the deletion after a year", func() bool { return isDeleted(ids[0]) })
	if isDeleted(ids[1]) {
		t.Error("a key was deleted 100 days after it was revoked")
	}
	load("delete_revoked_after 90d")
	waitFor(t, "the deletion after 90 days", func() bool { return isDeleted(ids[1]) })
	if isDeleted(ids[2]) || isDeleted(kept) {
		t.Error("another key was deleted")
	}
	if r := i.ask("/api/answer", token, "Q", ""); r.status != http.StatusOK {
		t.Errorf("the active key: %d %s", r.status, r.body)
	}
	if _, trail := i.call(http.MethodGet, "/v1/audit?action=deleted", ""); strings.Count(fmt.Sprint(trail), "retention") != 2 {
		t.Errorf("the audit trail is %v", trail)
	}
	// What is deleted stays deleted.
	i.stop()
	load("delete_revoked_after 90d")
	if !isDeleted(ids[0]) || !isDeleted(ids[1]) || isDeleted(ids[2]) {
		t.Error("other keys are deleted after a restart")
	}
	status, _ := i.call(http.MethodDelete, "/v1/keys/"+ids[2], "")
	if status != http.StatusNoContent || !isDeleted(ids[2]) {
		t.Errorf("DELETE has status %d", status)
	}
}

// In JSON, the retention is checked as in a Caddyfile.
func TestRetentionInJSONIsChecked(t *testing.T) {
	i := newStoreTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	config := strings.Replace(i.config(site), "feed store "+i.store, "feed store "+i.store+" {\ndelete_revoked_after 2d\n}", 1)
	const twoDays, twoHours = `"delete_revoked_after": 172800000000000`, `"delete_revoked_after": 7200000000000`
	adapted := adapt(t, config)
	if !strings.Contains(adapted, twoDays) {
		t.Fatalf("the configuration is %s", adapted)
	}
	err := caddy.Load([]byte(strings.Replace(adapted, twoDays, twoHours, 1)), true)
	if err == nil || !strings.Contains(err.Error(), "at least 1d") {
		t.Errorf("a retention of 2 hours: %v", err)
	}
}
