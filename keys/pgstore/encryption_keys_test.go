package pgstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
)

// secretPath returns a path for a secret, in a folder of its own.
func secretPath(t testing.TB) string { return filepath.Join(t.TempDir(), "store.secret") }

// copySecret copies the secret of another gate.
func copySecret(t testing.TB, from string) (to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	to = secretPath(t)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// share does what a gate does at the start.
func share(t testing.TB, e *registry.Encrypter, s *pgstore.Store) error {
	t.Helper()
	e.Share(s)
	return e.CheckShared(t.Context())
}

// Of gates that start at the same time without a secret, one creates it. The others are told to copy it, and keep no other one.
func TestConcurrentFirstStart(t *testing.T) {
	for range 5 {
		o := options(pgtest.Database(t))
		var (
			group sync.WaitGroup
			paths = []string{secretPath(t), secretPath(t), secretPath(t)}
			errs  = make([]error, len(paths))
		)
		for i, path := range paths {
			s := open(t, o)
			group.Go(func() { errs[i] = share(t, registry.NewEncrypter(path), s) })
		}
		group.Wait()
		winner := ""
		for i, err := range errs {
			_, missing := os.Stat(paths[i])
			switch {
			case err == nil && missing == nil && winner == "":
				winner = paths[i]
			case err == nil:
				t.Fatalf("several gates have created a secret, or it is missing: %v", missing)
			case missing == nil || !strings.Contains(err.Error(), "copy the file "+paths[i]):
				t.Errorf("error %v; the file: %v", err, missing)
			}
		}
		if winner == "" {
			t.Fatalf("no gate has created a secret: %v", errs)
		}
		if err := share(t, registry.NewEncrypter(copySecret(t, winner)), open(t, o)); err != nil {
			t.Errorf("with a copy of the file: %v", err)
		}
	}
}

// A gate with another secret does not start, and says which file is wrong without its content.
func TestWrongSecret(t *testing.T) {
	o := options(pgtest.Database(t))
	s := open(t, o)
	if err := share(t, registry.NewEncrypter(secretPath(t)), s); err != nil {
		t.Fatal(err)
	}
	text := "docsgate-secret-1 " + strings.Repeat("B", 42) + "A="
	path := secretPath(t)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := share(t, registry.NewEncrypter(path), s)
	if !errors.Is(err, registry.ErrWrongSecret) || !strings.Contains(err.Error(), "another secret than the one in "+path) || strings.Contains(err.Error(), "BBBB") {
		t.Errorf("a file: %v", err)
	}
	option, err := registry.NewEncrypterOf(keys.NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := share(t, option, s); err == nil || !strings.Contains(err.Error(), "option secret") {
		t.Errorf("an option: %v", err)
	}
}

// The encryption secret is replaced while all gates run and create keys.
func TestRotateEncryption(t *testing.T) {
	o := options(pgtest.Database(t))
	a := startIDs(t, o, secretPath(t), "")
	b := startIDs(t, o, copySecret(t, a.path), "")
	create := func(g *idsGate) string {
		made, err := g.Create(t.Context(), alice, registry.CreateRequest{Name: "a", AgentKey: "0f0c2b7e-1d34-4a6b-8c9d-0123456789ab"})
		if err != nil {
			t.Error(err)
			return ""
		}
		return made.Record.ID
	}
	ids := []string{create(a), create(b)}
	signed := a.sign("a")
	earlier, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	newer := "docsgate-secret-1 " + strings.Repeat("B", 42) + "A=\n"
	add := func(g *idsGate) {
		if err := os.WriteFile(g.path, []byte(newer+string(earlier)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add(a)
	// Gate b does not have the secret yet.
	var missing *registry.SecretMissingError
	waitUntil(t, "the other gate does not have the secret", func() bool {
		_, err := a.RotateEncryption(t.Context(), alice)
		return errors.As(err, &missing) && slices.Equal(missing.Gates, []string{b.path})
	})
	add(b)
	stop := make(chan struct{})
	var load sync.WaitGroup
	var mu sync.Mutex
	for _, g := range []*idsGate{a, b} {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := create(g)
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
	}
	var report registry.EncryptionReport
	waitUntil(t, "both gates have the secret, and nothing uses the earlier one", func() bool {
		report, err = a.RotateEncryption(t.Context(), alice)
		if err != nil && !errors.As(err, &missing) {
			t.Fatal(err)
		}
		return err == nil && len(report.Remaining) == 0 && len(report.Retained) == 0
	})
	close(stop)
	load.Wait()
	for _, g := range []*idsGate{a, b} {
		if err := os.WriteFile(g.path, []byte(newer), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := startIDs(t, o, copySecret(t, a.path), "")
	if !c.valid(signed) {
		t.Error("IDs of before are unknown")
	}
	for _, g := range []*idsGate{a, b, c} {
		for _, id := range ids {
			rec, err := g.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if k, problem := g.Key(rec); problem != "" || k.Binding.Agent.IsZero() {
				t.Fatalf("key %s: %s", id, problem)
			}
		}
	}
	// The earlier secret is no longer accepted, for example from a gate that was stopped meanwhile.
	old := secretPath(t)
	if err := os.WriteFile(old, earlier, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := share(t, registry.NewEncrypter(old), a.store); err == nil || !strings.Contains(err.Error(), "another secret") {
		t.Errorf("the earlier secret: %v", err)
	}
	if rec, err := a.Get(t.Context(), ids[0]); err != nil || rec.EncryptionKeys()[0] != report.KeyID {
		t.Errorf("%v, %v", rec.EncryptionKeys(), err)
	}
}

// A store that was copied from a file names the secret of the file.
func TestSecretOfCopiedStore(t *testing.T) {
	path := secretPath(t)
	from := memstorage.New()
	r, err := registry.New(registry.Options{Storage: from, Encrypter: registry.NewEncrypter(path)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), alice, registry.CreateRequest{Name: "a", AgentKey: "0f0c2b7e-1d34-4a6b-8c9d-0123456789ab"}); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(pgtest.Database(t)))
	if err := registry.Copy(t.Context(), from, s); err != nil {
		t.Fatal(err)
	}
	if err := share(t, registry.NewEncrypter(secretPath(t)), s); err == nil || !strings.Contains(err.Error(), "copy the file") {
		t.Errorf("without the file: %v", err)
	}
	if err := share(t, registry.NewEncrypter(copySecret(t, path)), s); err != nil {
		t.Errorf("with the file: %v", err)
	}
}
