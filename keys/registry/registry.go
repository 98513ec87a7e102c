// Package registry is the life of the keys that the gate issues: they are made, shown once, changed, rotated, disabled,
// enabled, revoked, imported and exported. It keeps the rules and the audit trail; a Storage keeps the records.
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
	"github.com/docsgate/docsgate/keys/usage"
)

// MaxGrace is the longest time that a replaced token may go on to count: 30 days.
const MaxGrace = 30 * 24 * time.Hour

// Options configure a Registry.
type Options struct {
	Storage Storage // required; Close closes it
	Sealer  *Sealer // seals agents' keys; nil: Draft.AgentKey is refused
	Usage   *usage.Counter
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // what Run could not save; nil: nothing is logged
}

// Policy are what the configuration in force says about keys; several configurations may use one registry: one after the
// other, and for a while at the same time. The zero Rules accept everything and resolve nothing.
type Policy struct {
	CheckSource  func(id string) (string, error)              // returns the canonical spelling
	CheckSources func(n int) error                            // whether a key may be bound to n sources
	Resolve      func(placeholder string) (string, error)     // of {env.NAME} and {file.PATH}
	AgentOf      func(id string) (keys.Secret, bool)          // the agent of a key of another feed
	Taken        func(id string, d keys.Digest) (feed string) // the other feed that has this id or token, or ""
}

// Errors of a Registry, besides those of its Storage and *FieldError.
var (
	// ErrRevoked says that a revoked key cannot be changed or rotated.
	ErrRevoked = errors.New("the key is revoked for ever: make a new one")

	// ErrNotApplied says that the change is stored, but a function of OnChange failed, so that it may not count yet. The
	// call that returns it returns its result, too: a token that was made must not be lost.
	ErrNotApplied = errors.New("the change is stored, but not in force yet")
)

// Registry is safe for concurrent use.
type Registry struct {
	storage Storage
	sealer  *Sealer
	usage   *usage.Counter
	now     func() time.Time
	log     *slog.Logger

	mu       sync.Mutex // guards the following
	rules    Policy     // where there are no others
	others   []*Policy  // of Rule, the newest last
	rounds   generations
	hooks    map[int]func(context.Context) error
	watchers map[int]func()
	next     int // the next key in hooks and watchers

	retrying sync.Mutex // held by whoever tries a change again

	saving    sync.Mutex // one save at a time
	saveFault string     // the last one, so that it is logged once; guarded by saving
}

// generations tell feeds what has happened since they looked last. Numbers begin at 1.
type generations struct {
	rules   uint64 // grows with SetRules and Rule
	recheck uint64 // grows whenever references may stand for something else
}

// New returns a registry over a storage. It takes the use of keys that the storage knows into the meter.
func New(o Options) (*Registry, error) {
	if o.Storage == nil {
		return nil, errors.New("a registry needs a storage")
	}
	r := &Registry{
		storage: o.Storage, sealer: o.Sealer, usage: o.Usage, now: o.Now, log: o.Log, rounds: generations{1, 1},
		hooks: map[int]func(context.Context) error{}, watchers: map[int]func(){},
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r, r.restoreUse()
}

// SetRules puts rules in force for the writes from now on and for feeds, as long as there are none of Rule.
func (r *Registry) SetRules(rules Policy) {
	r.rule(func() { r.rules = rules })
}

// PushRules puts rules in force until they are withdrawn: then those come back that were in force before, unless there are newer
// ones or they were withdrawn, too. So a configuration that is refused in the end leaves nothing behind. withdraw may be
// called more than once.
func (r *Registry) PushRules(rules Policy) (withdraw func()) {
	mine := &rules
	r.rule(func() { r.others = append(r.others, mine) })
	return func() {
		r.rule(func() {
			r.others = slices.DeleteFunc(r.others, func(o *Policy) bool { return o == mine })
		})
	}
}

// rule changes which rules are in force, and makes feeds look again.
func (r *Registry) rule(change func()) {
	r.mu.Lock()
	change()
	r.rounds.rules++
	r.mu.Unlock()
	r.Recheck()
}

// KeysChanged makes feeds look again when a key of another feed has changed for which one of the registry's may stand. It
// implements keys.Listener, for the store that AgentOf asks.
func (r *Registry) KeysChanged(out, in []*keys.Key) {
	own := r.storage.Name()
	other := func(k *keys.Key) bool { return k.Feed != own && k.Binding.Kind() == keys.AgentBinding }
	if slices.ContainsFunc(out, other) || slices.ContainsFunc(in, other) {
		r.Recheck()
	}
}

var _ keys.Listener = (*Registry)(nil)

// Recheck makes feeds look again what the references of agents stand for. It is to be called when a key of another feed may
// have changed, and does not block.
func (r *Registry) Recheck() {
	r.mu.Lock()
	r.rounds.recheck++
	watchers := make([]func(), 0, len(r.watchers))
	for _, changed := range r.watchers {
		watchers = append(watchers, changed)
	}
	r.mu.Unlock()
	for _, changed := range watchers {
		changed()
	}
}

// watch has changed called by Recheck until stop is called.
func (r *Registry) watch(changed func()) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.next
	r.next++
	r.watchers[n] = changed
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, n)
	}
}

// currentRules returns the rules and the rounds they belong to.
func (r *Registry) currentRules() (Policy, generations) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.others); n > 0 {
		return *r.others[n-1], r.rounds
	}
	return r.rules, r.rounds
}

// Get returns a key, or ErrNotFound.
func (r *Registry) Get(ctx context.Context, id string) (*Record, error) {
	if isToken(id) { // a storage's error would repeat it
		return nil, fmt.Errorf("this is a token, not the id of a key: %w", ErrNotFound)
	}
	return r.storage.Get(ctx, id)
}

// Audit is Storage.Audit.
func (r *Registry) Audit(ctx context.Context, key string, before uint64, limit int) ([]AuditEntry, error) {
	return r.storage.Audit(ctx, key, before, limit)
}

// PutIdempotencyRecord is Storage.PutIdempotencyRecord.
func (r *Registry) PutIdempotencyRecord(ctx context.Context, name, text string) error {
	return r.storage.PutIdempotencyRecord(ctx, name, text)
}

// GetIdempotencyRecord is Storage.GetIdempotencyRecord.
func (r *Registry) GetIdempotencyRecord(ctx context.Context, name string) (string, error) {
	return r.storage.GetIdempotencyRecord(ctx, name)
}

// Backup writes a copy of the storage, and an audit entry, which stands in the copy. Agents' keys are sealed in it: without
// the file of the Sealer they cannot be opened.
func (r *Registry) Backup(ctx context.Context, by Actor, w io.Writer) error {
	if err := r.note(ctx, by, ActionBackedUp, ""); err != nil {
		return err
	}
	return r.storage.Backup(ctx, w)
}

// Close saves the use of keys and closes the storage.
func (r *Registry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	return errors.Join(r.saveUse(ctx), r.storage.Close())
}
