// Package registry manages the life cycle of the keys that the gate issues: they are created, updated, rotated, disabled,
// enabled, revoked, deleted, imported and exported. It enforces the rules of the configuration and writes the audit trail. A Storage
// stores the records.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/usage"
)

// MaxGrace is the maximum grace period of a previous token: 30 days.
const MaxGrace = 30 * 24 * time.Hour

// Options configures a Registry.
type Options struct {
	Storage   Storage           // required; Close closes it
	Claims    IdempotencyClaims // of a storage that several gates share; nil: only this registry uses the storage
	Encrypter *Encrypter        // encrypts agents' keys; nil: CreateRequest.AgentKey is rejected
	Usage     *usage.Counter    // nil: usage is not stored
	Now       func() time.Time  // nil: time.Now
	Log       *slog.Logger      // logs errors of Run; nil: no logging

	// OnWrite is called after each attempt to store a change with its audit entries. err says why the storage failed; nil: it did not. A
	// conflict with another change is not an attempt. nil: not called.
	OnWrite func(entries []*AuditEntry, err error)
}

// Rules contains the rules of a configuration for keys. Several configurations may use the same registry, one after another,
// and at the same time during a reload. The zero Rules accepts everything and resolves no references.
type Rules struct {
	CheckSource  func(id string) (string, error)              // returns the canonical spelling of a source; nil: all are valid
	CheckSources func(n int) error                            // checks the number of sources of a key; nil: any
	Resolve      func(placeholder string) (string, error)     // returns the value of {env.NAME} or {file.PATH}
	AgentOf      func(id string) (keys.Secret, bool)          // returns the agent of a key of another feed
	FeedOf       func(id string, d keys.Digest) (feed string) // returns the other feed that has this id or token, or ""
}

// Errors of a Registry, besides those of its Storage and *FieldError.
var (
	// ErrRevoked means that a revoked key cannot be updated or rotated.
	ErrRevoked = errors.New("the key is permanently revoked: create a new one")

	// ErrNotRevoked means that a key cannot be deleted, since it is not revoked.
	ErrNotRevoked = errors.New("only a revoked key can be deleted: revoke it first")

	// ErrNotApplied means that the change is stored, but a function registered with OnChange failed, so the change may not be
	// in effect yet. Calls that return it also return their result: a new token must not be lost.
	ErrNotApplied = errors.New("the change is stored, but not applied yet")
)

// Registry is safe for concurrent use.
type Registry struct {
	storage   Storage
	claims    IdempotencyClaims
	encrypter *Encrypter
	usage     *usage.Counter
	now       func() time.Time
	log       *slog.Logger
	onWrite   func(entries []*AuditEntry, err error) // may be nil

	mu          sync.Mutex // guards the following
	rules       Rules      // base rules
	pushed      []*Rules   // of PushRules, newest last
	generations generations
	hooks       map[int]func(context.Context) error
	watchers    map[int]func()
	nextID      int // next key in hooks and watchers

	retryMu sync.Mutex // held during retries of an update

	overrides overrides
	retention retention

	rotateMu    sync.Mutex                                       // one rotation of the Encrypter's secret at a time
	reencrypted []func(context.Context, *Encrypter) (int, error) // of OnReencrypt; guarded by rotateMu

	saveMu        sync.Mutex                     // one save at a time; guards the following
	sharedUsage   *countersync.Syncer[usage.Row] // nil: the storage is not shared, or usage is nil
	lastSaveError string                         // of the last save, so that it is logged once
}

// generations counts events that invalidate resolved keys. Feeds compare it with the one of their last read. It starts at 1.
type generations struct {
	rules   uint64 // incremented when the rules change
	recheck uint64 // incremented when the resolution of references may have changed
}

// New returns a registry. It restores the stored usage to Options.Usage, which counts towards the totals of all gates if the storage is a
// SharedStorage.
func New(o Options) (*Registry, error) {
	if o.Storage == nil {
		return nil, errors.New("a registry needs a storage")
	}
	r := &Registry{
		storage: o.Storage, claims: o.Claims, encrypter: o.Encrypter, usage: o.Usage, now: o.Now, log: o.Log, onWrite: o.OnWrite, generations: generations{1, 1},
		hooks: map[int]func(context.Context) error{}, watchers: map[int]func(){},
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r, errors.Join(r.restoreUsage(), r.overrides.restore(r.storage))
}

// SetRules sets the base rules, which are used unless there are some from PushRules.
func (r *Registry) SetRules(rules Rules) {
	r.updateRules(func() { r.rules = rules })
}

// PushRules makes rules the current ones until withdraw is called. Then the latest rules that were not withdrawn are current
// again, so a configuration that is rejected later has no lasting effect. withdraw may be called repeatedly.
func (r *Registry) PushRules(rules Rules) (withdraw func()) {
	mine := &rules
	r.updateRules(func() { r.pushed = append(r.pushed, mine) })
	return func() {
		r.updateRules(func() {
			r.pushed = slices.DeleteFunc(r.pushed, func(o *Rules) bool { return o == mine })
		})
	}
}

// updateRules changes the rules, and notifies feeds.
func (r *Registry) updateRules(change func()) {
	r.mu.Lock()
	change()
	r.generations.rules++
	r.mu.Unlock()
	r.Recheck()
}

// KeysChanged calls Recheck if a key of another feed has changed that keys of the registry may refer to. It implements
// keys.Listener, for the store that Rules.AgentOf uses.
func (r *Registry) KeysChanged(out, in []*keys.Key) {
	own := r.storage.Name()
	other := func(k *keys.Key) bool { return k.Feed != own && k.Binding.Kind() == keys.AgentBinding }
	if slices.ContainsFunc(out, other) || slices.ContainsFunc(in, other) {
		r.Recheck()
	}
}

var _ keys.Listener = (*Registry)(nil)

// Recheck makes feeds resolve references to agents again. Call it when the resolution may have changed. It does not block.
func (r *Registry) Recheck() {
	r.mu.Lock()
	r.generations.recheck++
	watchers := make([]func(), 0, len(r.watchers))
	for _, changed := range r.watchers {
		watchers = append(watchers, changed)
	}
	r.mu.Unlock()
	for _, changed := range watchers {
		changed()
	}
}

// watch makes Recheck call changed until stop is called.
func (r *Registry) watch(changed func()) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nextID
	r.nextID++
	r.watchers[n] = changed
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, n)
	}
}

// currentRules returns the current rules and their generations.
func (r *Registry) currentRules() (Rules, generations) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.pushed); n > 0 {
		return *r.pushed[n-1], r.generations
	}
	return r.rules, r.generations
}

// Get returns a key, or ErrNotFound if there is none or it was deleted.
func (r *Registry) Get(ctx context.Context, id string) (*Record, error) {
	if isToken(id) { // the storage's error would contain it
		return nil, fmt.Errorf("a token was specified instead of the id of a key: %w", ErrNotFound)
	}
	return notDeleted(r.storage.Get(ctx, id))
}

// Audit calls Storage.Audit.
func (r *Registry) Audit(ctx context.Context, key string, before uint64, limit int) ([]AuditEntry, error) {
	return r.storage.Audit(ctx, key, before, limit)
}

// PutIdempotencyRecord calls Storage.PutIdempotencyRecord.
func (r *Registry) PutIdempotencyRecord(ctx context.Context, name, text string) error {
	return r.storage.PutIdempotencyRecord(ctx, name, text)
}

// IdempotencyClaims is implemented by a Storage that several gates share.
type IdempotencyClaims interface {
	// ClaimIdempotencyRecord stores a text like PutIdempotencyRecord, unless there is one already, which it returns. Of concurrent calls
	// of all gates, one stores its text.
	ClaimIdempotencyRecord(ctx context.Context, name, text string) (stored string, err error)
}

// ClaimIdempotencyRecord stores a text, unless there is one already, which it returns. Without Options.Claims, concurrent calls for one name
// are not safe.
func (r *Registry) ClaimIdempotencyRecord(ctx context.Context, name, text string) (stored string, err error) {
	if r.claims != nil {
		return r.claims.ClaimIdempotencyRecord(ctx, name, text)
	}
	if stored, err = r.storage.GetIdempotencyRecord(ctx, name); err != nil || stored != "" {
		return stored, err
	}
	return "", r.storage.PutIdempotencyRecord(ctx, name, text)
}

// IsShared reports whether other gates may use the storage at the same time.
func (r *Registry) IsShared() bool { return r.claims != nil }

// GetIdempotencyRecord calls Storage.GetIdempotencyRecord.
func (r *Registry) GetIdempotencyRecord(ctx context.Context, name string) (string, error) {
	return r.storage.GetIdempotencyRecord(ctx, name)
}

// SaveQuotas calls Storage.SaveQuotas.
func (r *Registry) SaveQuotas(ctx context.Context, rows []quota.Row, remove []string) error {
	return r.storage.SaveQuotas(ctx, rows, remove)
}

// Quotas calls Storage.Quotas.
func (r *Registry) Quotas(ctx context.Context, yield func(quota.Row) error) error {
	return r.storage.Quotas(ctx, yield)
}

// Name returns Storage.Name.
func (r *Registry) Name() string { return r.storage.Name() }

// SharedQuotas implements quota.SharedStorage. It returns nil unless the storage is a SharedStorage.
func (r *Registry) SharedQuotas() countersync.Storage[quota.Row] {
	if shared, ok := r.storage.(SharedStorage); ok {
		return shared.SharedQuotas()
	}
	return nil
}

// Backup writes a copy of the storage, after an audit entry that is part of the copy. Agents' keys are encrypted in it: they can
// only be decrypted with the file of the Encrypter.
func (r *Registry) Backup(ctx context.Context, by Actor, w io.Writer) error {
	if err := r.writeEntry(ctx, by, ActionBackedUp, ""); err != nil {
		return err
	}
	return r.storage.Backup(ctx, w)
}

// Close saves the usage of keys and closes the storage.
func (r *Registry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	return errors.Join(r.saveUsage(ctx), r.storage.Close())
}
