package registry_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

func createWithAgentKey(d *registryTest) (id, token string) {
	d.t.Helper()
	d.hide(agentKey)
	return d.create(func(draft *registry.CreateRequest) { draft.Sources, draft.AgentKey = nil, agentKey })
}

func TestAgentKeyIsEncrypted(t *testing.T) {
	d := newRegistryTest(t)
	if _, err := os.Stat(d.secretPath); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the secret was created before it was needed: %v", err)
	}
	id, token := createWithAgentKey(d)
	decision := d.verifier.Verify(token, d.now())
	if !decision.Allowed() || decision.Key.Binding.Agent.Reveal() != agentKey {
		t.Error("the key is not bound to its agent")
	}
	info, err := os.Stat(d.secretPath)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret: %v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(d.secretPath)); err != nil || len(all) != 1 {
		t.Errorf("there are other files beside the secret: %v, %v", all, err)
	}
	first, err := os.ReadFile(d.secretPath)
	if err != nil {
		t.Fatal(err)
	}
	_, another := createWithAgentKey(d)
	d.open()
	d.want(token, keys.Allowed)
	d.want(another, keys.Allowed)
	if again, err := os.ReadFile(d.secretPath); err != nil || !bytes.Equal(first, again) {
		t.Error("the secret was replaced")
	}
	rec, err := d.Get(t.Context(), id)
	if err != nil || rec.Agent.Reference() != "encrypted" || bytes.Contains(rec.Agent.Encrypted, []byte(agentKey)) {
		t.Errorf("the record: %v", err)
	}
	if e := d.last(); e.Detail != "agent encrypted" {
		t.Errorf("entry %+v", e)
	}
	d.assertNoSecretStored()
}

func TestInvalidSecretFile(t *testing.T) {
	other := newRegistryTest(t)
	createWithAgentKey(other)
	otherSecret, err := os.ReadFile(other.secretPath)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name    string
		damage  func(path string) error
		problem string
	}{
		{"missing", os.Remove, "is missing: restore it"},
		{"of another storage", func(p string) error { return os.WriteFile(p, otherSecret, 0o600) }, "another secret"},
		{"empty", func(p string) error { return os.Truncate(p, 0) }, "is damaged"},
		{"truncated", func(p string) error { return os.Truncate(p, 40) }, "is damaged"},
		{"readable by others", func(p string) error { return os.Chmod(p, 0o644) }, "chmod 600"},
		{"a directory", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "not a regular file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newRegistryTest(t)
			id, token := createWithAgentKey(d)
			_, plain := d.create()
			good, err := os.ReadFile(d.secretPath)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.damage(d.secretPath); err != nil {
				t.Fatal(err)
			}
			d.open()
			tr := track(t, d.Feed())
			d.Recheck()
			tr.want("a recheck without changes", tr.changes())
			d.want(token, keys.UnusableKey)
			d.want(plain, keys.Allowed)
			rec, err := d.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if _, problem := d.Key(rec); !strings.Contains(problem, c.problem) {
				t.Errorf("problem %q, want %q", problem, c.problem)
			} else {
				d.assertNoSecret("the problem", problem)
			}
			// No key is encrypted with another secret, and no new secret is created.
			if c.name != "of another storage" {
				if _, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "a", AgentKey: agentKey}); err == nil {
					t.Error("a key was encrypted with another secret")
				} else {
					d.assertNoSecret("the error", err.Error())
				}
			}
			if err := errors.Join(os.RemoveAll(d.secretPath), os.WriteFile(d.secretPath, good, 0o600)); err != nil {
				t.Fatal(err)
			}
			d.Recheck()
			if got := tr.changes(); !slices.Contains(got, id) || tr.keys[id].State != keys.Active {
				t.Errorf("after restoring the secret: changed %v", got)
			}
			if _, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{Name: pointer("touched")}); err != nil {
				t.Fatal(err)
			}
			d.want(token, keys.Allowed)
		})
	}
}

func TestEncryptedKeyIsBoundToRecord(t *testing.T) {
	d := newRegistryTest(t)
	from, _ := createWithAgentKey(d)
	to, token := d.create()
	rec, err := d.Get(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Get(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	other.Sources, other.Agent = nil, rec.Agent
	if err := d.storage.Write(t.Context(), []*registry.Record{other}, nil); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.want(token, keys.UnusableKey)
	if _, problem := d.Key(other); !strings.Contains(problem, "moved here") {
		t.Errorf("problem %q", problem)
	}
}

func TestAgentKeyWithoutSealer(t *testing.T) {
	d := newRegistryTest(t)
	r, err := registry.New(registry.Options{Storage: d.storage})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), alice, registry.CreateRequest{Name: "a", AgentKey: agentKey}); len(fields(err)) != 1 {
		t.Errorf("create: %v", err)
	}
	id, _ := createWithAgentKey(d)
	rec, err := r.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if k, problem := r.Key(rec); k.State != keys.BindingUnavailable || problem == "" {
		t.Errorf("state %s, problem %q", k.State, problem)
	}
}

// TestConcurrentSecretCreation: all registries use the same secret.
func TestConcurrentSecretCreation(t *testing.T) {
	for range 20 {
		d := newRegistryTest(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				r, err := registry.New(registry.Options{Storage: d.storage, Encrypter: registry.NewEncrypter(d.secretPath)})
				if err == nil {
					_, err = r.Create(t.Context(), alice, registry.CreateRequest{Name: "a", AgentKey: agentKey})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		d.open()
		if got := d.store.Counts(noon); got["active"] != 8 {
			t.Errorf("counts %v", got)
		}
	}
}
