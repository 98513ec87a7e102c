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

func sealed(d *desk) (id, token string) {
	d.t.Helper()
	d.hide(agentKey)
	return d.create(func(draft *registry.CreateRequest) { draft.Sources, draft.AgentKey = nil, agentKey })
}

func TestAgentKeyIsSealed(t *testing.T) {
	d := newDesk(t)
	if _, err := os.Stat(d.sealPath); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the secret is there before it is needed: %v", err)
	}
	id, token := sealed(d)
	decision := d.verifier.Verify(token, d.now())
	if !decision.Allowed() || decision.Key.Binding.Agent.Reveal() != agentKey {
		t.Error("the key is not bound to its agent")
	}
	info, err := os.Stat(d.sealPath)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret: %v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(d.sealPath)); err != nil || len(all) != 1 {
		t.Errorf("something was left beside the secret: %v, %v", all, err)
	}
	first, err := os.ReadFile(d.sealPath)
	if err != nil {
		t.Fatal(err)
	}
	_, another := sealed(d)
	d.open()
	d.want(token, keys.Allowed)
	d.want(another, keys.Allowed)
	if again, err := os.ReadFile(d.sealPath); err != nil || !bytes.Equal(first, again) {
		t.Error("the secret was made anew")
	}
	rec, err := d.Get(t.Context(), id)
	if err != nil || rec.Agent.Reference() != "sealed" || bytes.Contains(rec.Agent.Sealed, []byte(agentKey)) {
		t.Errorf("the record: %v", err)
	}
	if e := d.last(); e.Detail != "agent sealed" {
		t.Errorf("entry %+v", e)
	}
	d.searchedAll()
}

func TestSecretThatIsMissingWrongOrOpen(t *testing.T) {
	other := newDesk(t)
	sealed(other)
	otherSecret, err := os.ReadFile(other.sealPath)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name    string
		spoil   func(path string) error
		problem string
	}{
		{"missing", os.Remove, "is missing: put it back"},
		{"of another store", func(p string) error { return os.WriteFile(p, otherSecret, 0o600) }, "another secret"},
		{"empty", func(p string) error { return os.Truncate(p, 0) }, "is damaged"},
		{"cut off", func(p string) error { return os.Truncate(p, 40) }, "is damaged"},
		{"open to all", func(p string) error { return os.Chmod(p, 0o644) }, "chmod 600"},
		{"a directory", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "not a regular file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			id, token := sealed(d)
			_, plain := d.create()
			good, err := os.ReadFile(d.sealPath)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(d.sealPath); err != nil {
				t.Fatal(err)
			}
			d.open()
			tr := track(t, d.Feed())
			d.Recheck()
			tr.want("a recheck without news", tr.changes())
			d.want(token, keys.UnusableKey)
			d.want(plain, keys.Allowed)
			rec, err := d.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if _, problem := d.Key(rec); !strings.Contains(problem, c.problem) {
				t.Errorf("problem %q, want %q", problem, c.problem)
			} else {
				d.searched("the problem", problem)
			}
			// Nothing is sealed with anything else than the right secret, which is not made anew.
			if c.name != "of another store" {
				if _, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "a", AgentKey: agentKey}); err == nil {
					t.Error("a key was sealed with another secret")
				} else {
					d.searched("the error", err.Error())
				}
			}
			if err := errors.Join(os.RemoveAll(d.sealPath), os.WriteFile(d.sealPath, good, 0o600)); err != nil {
				t.Fatal(err)
			}
			d.Recheck()
			if got := tr.changes(); !slices.Contains(got, id) || tr.keys[id].State != keys.Active {
				t.Errorf("with the right secret back changed %v", got)
			}
			if _, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{Name: pointer("touched")}); err != nil {
				t.Fatal(err)
			}
			d.want(token, keys.Allowed)
		})
	}
}

func TestSealedKeyCannotMove(t *testing.T) {
	d := newDesk(t)
	from, _ := sealed(d)
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

func TestWithoutASealerNoAgentKeyIsTaken(t *testing.T) {
	d := newDesk(t)
	r, err := registry.New(registry.Options{Storage: d.storage})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), alice, registry.CreateRequest{Name: "a", AgentKey: agentKey}); len(fields(err)) != 1 {
		t.Errorf("create: %v", err)
	}
	id, _ := sealed(d)
	rec, err := r.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if k, problem := r.Key(rec); k.State != keys.BindingUnavailable || problem == "" {
		t.Errorf("state %s, problem %q", k.State, problem)
	}
}

// TestTwoThatMakeTheSecretAtOnce: what each sealed the other can open.
func TestTwoThatMakeTheSecretAtOnce(t *testing.T) {
	for range 20 {
		d := newDesk(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				r, err := registry.New(registry.Options{Storage: d.storage, Sealer: registry.NewSealer(d.sealPath)})
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
