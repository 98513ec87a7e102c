package registry_test

import (
	"bytes"
	"context"
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

// desk is a registry with a clock, and a store and a verifier that follow it.
type desk struct {
	*registry.Registry
	t        *testing.T
	storage  *memstorage.Storage
	sealPath string
	store    *keys.Store
	verifier *keys.Verifier
	usage    *usage.Counter

	mu      sync.Mutex
	time    time.Time
	secrets []string // that must not be seen anywhere
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{
		t: t, storage: memstorage.New(), sealPath: filepath.Join(t.TempDir(), "keys.db.secret"), store: keys.NewStore(),
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

// open makes the registry anew over the same storage, as a restart does.
func (d *desk) open() {
	d.t.Helper()
	r, err := registry.New(registry.Options{
		Storage: d.storage, Sealer: registry.NewSealer(d.sealPath), Usage: d.usage, Now: d.now,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Registry = r
	d.store.Remove(d.storage.Name())
	syncer := keys.NewSyncer(d.store, []keys.Feed{r.Feed()}, nil)
	if err := syncer.LoadAll(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	r.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, d.storage.Name()) })
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.time
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.time = d.time.Add(by)
}

func (d *desk) hide(secret string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if secret != "" && !slices.Contains(d.secrets, secret) {
		d.secrets = append(d.secrets, secret)
	}
	return secret
}

// create makes a key bound to a source.
func (d *desk) create(change ...func(*registry.CreateRequest)) (id, token string) {
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

func (d *desk) rotate(id string, grace time.Duration) string {
	d.t.Helper()
	made, err := d.Rotate(d.t.Context(), alice, id, grace)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.hide(made.Token.Reveal())
}

func (d *desk) reason(token string) keys.Reason { return d.verifier.Verify(token, d.now()).Reason }

func (d *desk) want(token string, reason keys.Reason) {
	d.t.Helper()
	if got := d.reason(token); got != reason {
		d.t.Errorf("the token is %s, want %s", got, reason)
	}
}

// trail is the audit trail in words, the oldest first.
func (d *desk) trail() []registry.AuditEntry {
	d.t.Helper()
	entries, err := d.Audit(d.t.Context(), "", 0, 10000)
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Reverse(entries)
	return entries
}

func (d *desk) last() registry.AuditEntry {
	d.t.Helper()
	all := d.trail()
	if len(all) == 0 {
		d.t.Fatal("there is no entry")
	}
	return all[len(all)-1]
}

// searched fails if any secret stands in text.
func (d *desk) searched(where, text string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, secret := range d.secrets {
		if strings.Contains(text, secret) || strings.Contains(text, keys.DigestOf(secret).Hex()) {
			d.t.Errorf("%s holds a secret", where)
		}
	}
}

// searchedAll looks for secrets in all that is stored.
func (d *desk) searchedAll() {
	d.t.Helper()
	var all bytes.Buffer
	if err := d.storage.Backup(d.t.Context(), &all); err != nil {
		d.t.Fatal(err)
	}
	if len(d.secrets) == 0 {
		d.t.Fatal("there is nothing to look for")
	}
	d.searched("the storage", all.String())
}

// fields are the fields that an error is about.
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
