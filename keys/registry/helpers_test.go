package registry_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/registry/storagetest"
	"github.com/docsgate/docsgate/keys/usage"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice = registry.Actor{Name: "alice", RemoteAddr: "192.0.2.7"}
)

const (
	sourceID = "0e8f9a4c-6f0b-4d2e-9f51-3a7f1f6f8f01"
	agentKey = "5f0c2b7e-1d34-4a6b-8c9d-0123456789ab"
)

// registryTest is a registry with a fake clock, and a store and a verifier that follow it.
type registryTest struct {
	*registry.Registry
	t          *testing.T
	storage    *memstorage.Storage
	secretPath string
	store      *keys.Store
	verifier   *keys.Verifier
	usage      *usage.Counter

	mu      sync.Mutex
	time    time.Time
	secrets []string // must not be exposed anywhere
}

func newRegistryTest(t *testing.T) *registryTest {
	t.Helper()
	d := &registryTest{
		t: t, storage: memstorage.New(), secretPath: filepath.Join(t.TempDir(), "keys.db.secret"), store: keys.NewStore(),
		time: noon, usage: usage.NewMeter(),
	}
	d.open()
	verifier, err := keys.NewVerifier(d.store, keys.CacheConfig{Entries: 100, NegativeEntries: 10})
	if err != nil {
		t.Fatal(err)
	}
	d.verifier = verifier
	t.Cleanup(verifier.Close)
	return d
}

// open creates a new registry with the same storage, like a restart.
func (d *registryTest) open() {
	d.t.Helper()
	r, err := registry.New(registry.Options{
		Storage: d.storage, Encrypter: registry.NewEncrypter(d.secretPath), Usage: d.usage, Now: d.now,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Registry = r
	r.ApplyOverrides(d.store)
	d.store.Remove(d.storage.Name())
	storagetest.Follow(d.t, r, d.store)
}

func (d *registryTest) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.time
}

func (d *registryTest) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.time = d.time.Add(by)
}

func (d *registryTest) hide(secret string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if secret != "" && !slices.Contains(d.secrets, secret) {
		d.secrets = append(d.secrets, secret)
	}
	return secret
}

// create creates a key that is bound to a source.
func (d *registryTest) create(change ...func(*registry.CreateRequest)) (id, token string) {
	d.t.Helper()
	draft := registry.CreateRequest{Name: "docs site", Sources: []string{sourceID}}
	for _, f := range change {
		f(&draft)
	}
	made, err := d.Create(d.t.Context(), alice, draft)
	if err != nil {
		d.t.Fatal(err)
	}
	return made.Record.ID, d.hide(made.Token.Reveal())
}

func (d *registryTest) rotate(id string, grace time.Duration) string {
	d.t.Helper()
	made, err := d.Rotate(d.t.Context(), alice, id, grace)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.hide(made.Token.Reveal())
}

func (d *registryTest) reason(token string) keys.Reason {
	return d.verifier.Verify(token, d.now()).Reason
}

func (d *registryTest) want(token string, reason keys.Reason) {
	d.t.Helper()
	if got := d.reason(token); got != reason {
		d.t.Errorf("the token is %s, want %s", got, reason)
	}
}

// auditTrail returns the audit trail, oldest entry first.
func (d *registryTest) auditTrail() []registry.AuditEntry {
	d.t.Helper()
	entries, err := d.Audit(d.t.Context(), "", 0, 10000)
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Reverse(entries)
	return entries
}

func (d *registryTest) last() registry.AuditEntry {
	d.t.Helper()
	all := d.auditTrail()
	if len(all) == 0 {
		d.t.Fatal("the audit trail is empty")
	}
	return all[len(all)-1]
}

// assertNoSecret fails if text contains a secret or its digest.
func (d *registryTest) assertNoSecret(where, text string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, secret := range d.secrets {
		if strings.Contains(text, secret) || strings.Contains(text, keys.DigestOf(secret).Hex()) {
			d.t.Errorf("%s contains a secret", where)
		}
	}
}

// assertNoSecretStored calls assertNoSecret for everything that is stored.
func (d *registryTest) assertNoSecretStored() {
	d.t.Helper()
	var all bytes.Buffer
	if err := d.storage.Backup(d.t.Context(), &all); err != nil {
		d.t.Fatal(err)
	}
	if len(d.secrets) == 0 {
		d.t.Fatal("there are no secrets to search for")
	}
	d.assertNoSecret("the storage", all.String())
}

// fields returns the fields of the FieldErrors that an error joins.
func fields(err error) (all []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, fields(e)...)
		}
		return all
	}
	if f := (*registry.FieldError)(nil); errors.As(err, &f) {
		return []string{f.Field}
	}
	return nil
}

func pointer[T any](v T) *T { return &v }
