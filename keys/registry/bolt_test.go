package registry_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/storagetest"
)

// TestRestartWithBoltStore: created, rotated and revoked keys are the same after a restart.
func TestRestartWithBoltStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	open := func() (*registry.Registry, *keys.Verifier) {
		t.Helper()
		storage, err := boltstore.Open(t.Context(), boltstore.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		r, err := registry.New(registry.Options{Storage: storage, Encrypter: registry.NewEncrypter(path + ".secret")})
		if err != nil {
			t.Fatal(err)
		}
		store := keys.NewStore()
		storagetest.Follow(t, r, store)
		verifier, err := keys.NewVerifier(store, keys.CacheConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(verifier.Close)
		return r, verifier
	}
	r, verifier := open()
	made := func(m *registry.CreateResult, err error) (id, token string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m.Record.ID, m.Token.Reveal()
	}
	id, first := made(r.Create(t.Context(), alice, registry.CreateRequest{Name: "a", Sources: []string{sourceID}}))
	_, second := made(r.Rotate(t.Context(), alice, id, time.Hour))
	_, agent := made(r.Create(t.Context(), alice, registry.CreateRequest{Name: "b", AgentKey: agentKey}))
	gone, third := made(r.Create(t.Context(), alice, registry.CreateRequest{Name: "c", Sources: []string{sourceID}}))
	if _, err := r.Revoke(t.Context(), alice, gone); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"before", "after"} {
		for token, want := range map[string]keys.Reason{
			first: keys.Allowed, second: keys.Allowed, agent: keys.Allowed, third: keys.RevokedKey,
		} {
			if got := verifier.Verify(token, time.Now()).Reason; got != want {
				t.Errorf("%s the restart a token is %s, want %s", when, got, want)
			}
		}
		if entries, err := r.Audit(t.Context(), "", 0, 100); err != nil || len(entries) != 5 {
			t.Errorf("%s the restart %d entries, %v", when, len(entries), err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if when == "before" {
			r, verifier = open()
		}
	}
}
