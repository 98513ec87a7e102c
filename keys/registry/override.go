package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docsgate/docsgate/internal/displaytext"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// MaxOverrides is the maximum number of overrides in a storage. Those of keys that no feed has any more are included, since the keys
// may come back.
const MaxOverrides = 10_000

// ErrTooManyOverrides means that MaxOverrides are stored.
var ErrTooManyOverrides = fmt.Errorf("changes of %d keys of other feeds are stored, which is the maximum: remove some of them", MaxOverrides)

// Override is what is stored about a key of another feed, by its ID, and changes the key for the gate; see keys.Override. It stays
// while the key is temporarily missing.
type Override struct {
	ID       string
	Disabled bool
	Policy   *policy.Policy // nil: that of the feed; never changes once stored
	Signing  *Signing       // what the signed tokens of visitors are verified with; nil: nothing
	Changed  time.Time
	Revision uint64 // like Record.Revision
}

// IsZero reports whether the override changes nothing.
func (o *Override) IsZero() bool { return !o.Disabled && o.Policy == nil && o.Signing == nil }

// overrides holds the stored overrides in memory, since a store of keys needs them for each key of another feed.
type overrides struct {
	writeMu sync.Mutex // held during a change

	mu     sync.RWMutex // guards the following
	known  bool         // byID is what was stored at some time; false: the storage was never available
	byID   map[string]*Override
	hooks  map[int]overrideHook
	nextID int

	secretState string // of the Encrypter, at the last recheck
}

// overrideHook is called after a change, outside of all locks.
type overrideHook struct {
	one func(id string) // the override of one key has changed
	all func()          // any may have changed
}

// restore reads the overrides. If a remote storage is unavailable, they stay unknown.
func (o *overrides) restore(s Storage) error {
	byID, err := readOverrides(context.Background(), s.Overrides)
	if _, remote := s.(RemoteStorage); remote && errors.Is(err, ErrUnavailable) {
		return nil
	}
	o.byID, o.known = byID, err == nil
	return err
}

func readOverrides(ctx context.Context, read func(context.Context, func(*Override) error) error) (map[string]*Override, error) {
	byID := make(map[string]*Override)
	if err := read(ctx, func(stored *Override) error {
		byID[stored.ID] = stored
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading what is stored about keys of other feeds: %w", err)
	}
	return byID, nil
}

// set stores a value and returns the hooks to call.
func (o *overrides) set(value *Override) []overrideHook {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID == nil { // unknown so far
		o.byID = make(map[string]*Override)
	}
	if o.byID[value.ID] = value; value.IsZero() {
		delete(o.byID, value.ID)
	}
	return slices.Collect(maps.Values(o.hooks))
}

// Override returns the override of a key, or nil. It must not be modified.
func (r *Registry) Override(id string) *Override {
	o, _ := r.overrides.get(id)
	return o
}

// get returns the override of a key, or nil. known reports whether the overrides are known at all.
func (o *overrides) get(id string) (_ *Override, known bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byID[id], o.known
}

// ApplyOverrides makes a store apply the overrides to keys of other feeds, until stop is called. It must be called before keys are
// written to the store. A change of an override is applied before the call that makes it returns.
func (r *Registry) ApplyOverrides(s *keys.Store) (stop func()) {
	s.SetOverrides(r.storage.Name(), func(id string) *keys.Override {
		o, known := r.overrides.get(id)
		if !known {
			return &keys.Override{Unknown: true}
		}
		if o == nil {
			return nil
		}
		changes := &keys.Override{Disabled: o.Disabled, Policy: o.Policy}
		changes.VisitorTokens, _ = r.verifier(id, o.Policy, o.Signing)
		return changes
	})
	r.overrides.mu.Lock()
	defer r.overrides.mu.Unlock()
	if r.overrides.hooks == nil {
		r.overrides.hooks = make(map[int]overrideHook)
	}
	n := r.overrides.nextID
	r.overrides.nextID++
	r.overrides.hooks[n] = overrideHook{s.ApplyOverride, s.ApplyOverrides}
	return func() {
		r.overrides.mu.Lock()
		defer r.overrides.mu.Unlock()
		delete(r.overrides.hooks, n)
	}
}

// UpdateOverride changes what is stored about a key of another feed. k is the key as its feed has it. Only the state and the policy
// can be changed: other fields are a *FieldError, since the feed would change them back. State Active removes a stored Disabled; a key
// that is disabled in its feed stays so. If nothing changes, nothing is written.
func (r *Registry) UpdateOverride(ctx context.Context, by Actor, k *keys.Key, e UpdateRequest) error {
	return r.updateOverride(ctx, by, k, func(o *Override) (Action, string, error) { return r.editOverride(o, k, &e) })
}

// updateOverride changes an override. edit modifies a copy, and returns the action and the detail of the audit entry. If the action is
// empty, nothing is written.
func (r *Registry) updateOverride(
	ctx context.Context, by Actor, k *keys.Key, edit func(*Override) (action Action, detail string, err error),
) error {
	r.overrides.writeMu.Lock()
	defer r.overrides.writeMu.Unlock()
	return r.retryOverride(ctx, func() error {
		old := Override{ID: k.ID}
		if stored := r.Override(k.ID); stored != nil {
			old = *stored
		}
		next := old
		action, detail, err := edit(&next)
		if err != nil || action == "" {
			return err
		}
		if old.IsZero() && r.countOverrides() >= MaxOverrides {
			return ErrTooManyOverrides
		}
		next.Changed = r.currentTime()
		entry := r.newEntry(by, action, nil, detail)
		entry.Key, entry.Name = k.ID, displaytext.PrintableLine(k.Name, maxNameRunes)
		return r.writeOverride(ctx, &next, entry)
	})
}

// writeOverride stores an override and applies it. writeMu is held.
func (r *Registry) writeOverride(ctx context.Context, next *Override, entry *AuditEntry) error {
	err := r.storage.WriteOverride(ctx, next, entry)
	r.noteWrite(ctx, []*AuditEntry{entry}, err)
	if err != nil {
		return err
	}
	for _, changed := range r.overrides.set(next) {
		changed.one(next.ID)
	}
	return nil
}

// recheckOverrides applies overrides with secrets for signing again if the secret of the Encrypter has changed: it may be possible to
// decrypt them now, or no longer.
func (r *Registry) recheckOverrides() {
	if r.encrypter == nil {
		return
	}
	state := r.encrypter.state()
	r.overrides.mu.Lock()
	var ids []string
	if state != r.overrides.secretState {
		r.overrides.secretState = state
		for id, o := range r.overrides.byID {
			if o.Signing.hasSecrets() {
				ids = append(ids, id)
			}
		}
	}
	hooks := slices.Collect(maps.Values(r.overrides.hooks))
	r.overrides.mu.Unlock()
	for _, changed := range hooks {
		for _, id := range ids {
			changed.one(id)
		}
	}
}

func (r *Registry) countOverrides() int {
	r.overrides.mu.RLock()
	defer r.overrides.mu.RUnlock()
	return len(r.overrides.byID)
}

// editOverride applies a change, and returns the action and the detail of its audit entry, or no action if nothing changes.
func (r *Registry) editOverride(o *Override, k *keys.Key, e *UpdateRequest) (action Action, detail string, err error) {
	c := validator{now: r.currentTime()}
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"name", e.Name != nil},
		{"not_before", e.NotBefore != nil},
		{"expires", e.Expires != nil},
		{"sources", len(e.Sources) > 0},
		{"agent", e.Agent != ""},
		{"agent_key", e.AgentKey != ""},
	} {
		if field.given {
			c.errorf(field.name, "can only be changed in the feed %s, where the key comes from", k.Feed)
		}
	}
	var details []string
	if p := e.Policy.Apply(o.Policy); !p.Equal(o.Policy) {
		details = policyChanges(o.Policy, p)
		o.Policy = c.policy(p)
		if _, ok := o.Policy.Override(k.Policy); !ok {
			c.errorf("origins", "must contain at least one of the origins that the key is restricted to in its feed")
		}
	}
	o.Signing = e.editSigning(&c, o.Policy, o.Signing, &details)
	action = ActionChanged
	if e.State != nil {
		disabled := *e.State == keys.Disabled
		switch {
		case !disabled && *e.State != keys.Active:
			c.errorf("state", "must be active or disabled")
		case disabled == o.Disabled && !disabled && k.State == keys.Disabled:
			c.errorf("state", "the key is disabled in the feed %s: enable it there", k.Feed)
		case disabled == o.Disabled:
		case len(details) > 0:
			details = append(details, e.State.String())
		case disabled:
			action = ActionDisabled
		default:
			action = ActionEnabled
		}
		if len(c.errs) == 0 {
			o.Disabled = disabled
		}
	}
	switch err := c.err(); {
	case err != nil:
		return "", "", err
	case action == ActionChanged && len(details) == 0:
		return "", "", nil
	}
	return action, strings.Join(append(details, "key of the feed "+k.Feed), "; "), nil
}
