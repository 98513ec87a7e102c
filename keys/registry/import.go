package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// Import describes a key to import. Exactly one of Sources, Agent and AgentKey is required, as in CreateRequest.
type Import struct {
	ID                          string // empty: a new one
	Name                        string // empty: the ID
	Sources                     []string
	Agent                       string
	AgentKey                    string
	Digest                      keys.Digest // zero: a new token is created
	State                       keys.State  // Active, Disabled or Revoked
	NotBefore, Expires, Created time.Time
	Prompt, Chunks, Retriever   string
	Policy                      *policy.Policy // nil: only the defaults of the site apply

	// Signing has the generation, and public keys. Without public keys, a key that accepts signed tokens has to get a secret for signing
	// after the import; until then none is valid.
	Signing SigningChange
}

// ImportResult is the result of an Import: a new key, with its token if one was created, or Existing, the ID of the key that
// already has this digest and was not changed.
type ImportResult struct {
	Record   Record
	Token    keys.Secret
	Existing string
}

// ImportError is an error in one of the items.
type ImportError struct {
	Index int
	Err   error
}

// Error implements error.
func (e *ImportError) Error() string {
	return fmt.Sprintf("key %d: %s", e.Index+1, strings.ReplaceAll(e.Err.Error(), "\n", "; "))
}

// Unwrap returns Err, which joins *FieldErrors if the item is invalid.
func (e *ImportError) Unwrap() error { return e.Err }

// Import imports all keys or none. Errors join *ImportErrors. In a dry run nothing is written and no tokens are created, and
// records of items without an ID have none. If the error is ErrNotApplied, the keys were imported.
func (r *Registry) Import(ctx context.Context, by Actor, items []Import, dry bool) ([]ImportResult, error) {
	rules, _ := r.currentRules()
	b := importBatch{
		registry: r, rules: rules, now: r.currentTime(), dry: dry,
		ids: make(map[string]int, len(items)), digests: make(map[keys.Digest]int, len(items)),
	}
	results := make([]ImportResult, len(items))
	agentKeys := make([]keys.Secret, len(items))
	var errs []error
	for i := range items {
		var err error
		if agentKeys[i], err = b.prepare(ctx, i, &items[i], &results[i]); err != nil {
			if fatal := (*storageError)(nil); errors.As(err, &fatal) {
				return nil, fatal.err
			}
			errs = append(errs, &ImportError{i, err})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if dry {
		return results, nil
	}
	return r.storeImport(ctx, by, results, agentKeys)
}

// storeImport stores validated items.
func (r *Registry) storeImport(ctx context.Context, by Actor, results []ImportResult, agentKeys []keys.Secret) ([]ImportResult, error) {
	var (
		all     = make([]*Record, len(results)) // also existing ones: an earlier call may have stored but not applied them
		records []*Record
		entries []*AuditEntry
	)
	for i := range results {
		rec := &results[i].Record
		all[i] = rec
		if results[i].Existing != "" {
			continue
		}
		if err := r.encryptAgentKey(ctx, rec, agentKeys[i]); err != nil {
			return nil, err
		}
		records, entries = append(records, rec), append(entries, r.newEntry(by, ActionImported, rec, rec.describe()))
	}
	if len(records) > 0 {
		if err := r.write(ctx, records, entries); err != nil {
			return nil, err
		}
	}
	return results, r.notifyHooks(ctx, all...)
}

// storageError is an error of the storage, which is not the fault of an item.
type storageError struct{ err error }

func (e *storageError) Error() string { return e.err.Error() }

// importBatch is one Import.
type importBatch struct {
	registry *Registry
	rules    Rules
	now      time.Time
	dry      bool
	ids      map[string]int // index of the item with this id, so far
	digests  map[keys.Digest]int
}

// prepare validates an item and sets its result.
func (b *importBatch) prepare(ctx context.Context, i int, in *Import, out *ImportResult) (keys.Secret, error) {
	if !in.Digest.IsZero() {
		if first, repeated := b.digests[in.Digest]; repeated {
			return keys.Secret{}, fmt.Errorf("same token as key %d: each key must have its own token", first+1)
		}
		b.digests[in.Digest] = i
		switch rec, err := b.registry.storage.ByDigest(ctx, in.Digest); {
		case err == nil && rec.IsDeleted():
			return keys.Secret{}, &FieldError{"sha256", "is that of a deleted key, whose token is never valid again"}
		case err == nil:
			out.Record, out.Existing = *rec, rec.ID
			return keys.Secret{}, nil
		case !errors.Is(err, ErrNotFound):
			return keys.Secret{}, &storageError{err}
		}
	}
	c := validator{rules: b.rules, now: b.now}
	rec := &out.Record
	rec.Digest, rec.State, rec.Changed = in.Digest, in.State, b.now
	if err := b.setID(ctx, &c, i, in, rec); err != nil {
		return keys.Secret{}, err
	}
	name := in.Name
	if name == "" {
		name = rec.ID
	}
	if name != "" { // a dry run creates no id to use as a name
		rec.Name = c.name(name)
	}
	if rec.State != keys.Active && rec.State != keys.Disabled && rec.State != keys.Revoked {
		c.errorf("state", "must be active, disabled or revoked")
	}
	agentKey := b.registry.bind(&c, rec, in.Sources, in.Agent, in.AgentKey)
	rec.NotBefore, rec.Expires = c.times(in.NotBefore, in.Expires)
	if rec.Created = c.time("created", in.Created); rec.Created.IsZero() {
		rec.Created = b.now
	}
	rec.Prompt, rec.Chunks = c.displayText("prompt_id", in.Prompt), c.displayText("chunks", in.Chunks)
	rec.Retriever = c.displayText("retriever", in.Retriever)
	rec.Policy = c.policy(in.Policy)
	rec.Signing, _ = in.Signing.apply(&c, nil)
	if rec.Digest.IsZero() && !b.dry {
		out.Token = keys.NewSecret(rec.newToken())
	}
	if err := b.rules.checkUnused(rec.ID, keys.Digest{}); err != nil {
		c.errorf("id", "%v", err)
	}
	if err := b.rules.checkUnused("", rec.Digest); err != nil {
		c.errorf("sha256", "%v", err)
	}
	return agentKey, c.err()
}

// setID sets the id of a record. An error is a *storageError.
func (b *importBatch) setID(ctx context.Context, c *validator, i int, in *Import, rec *Record) error {
	if in.ID == "" {
		if !b.dry {
			rec.ID = NewID()
		}
		return nil
	}
	if !keys.IsValidID(in.ID) {
		c.errorf("id", `must have 1 to 128 letters, digits, ".", "_" or "-", and start with a letter or digit`)
		return nil
	}
	if isToken(in.ID) {
		c.errorf("id", "must not be a token, because ids are public")
		return nil
	}
	rec.ID = in.ID
	if first, repeated := b.ids[in.ID]; repeated {
		c.errorf("id", "is the same as that of key %d", first+1)
		return nil
	}
	b.ids[in.ID] = i
	switch rec, err := b.registry.storage.Get(ctx, in.ID); {
	case err == nil && rec.IsDeleted():
		c.errorf("id", "is that of a deleted key")
	case err == nil:
		c.errorf("id", "belongs to another key")
	case !errors.Is(err, ErrNotFound):
		return &storageError{err}
	}
	return nil
}

// Export calls yield for each record that is not deleted, sorted by ID. It writes an audit entry before the first call. An error of yield stops it
// and is returned.
func (r *Registry) Export(ctx context.Context, by Actor, yield func(*Record) error) error {
	if err := r.writeEntry(ctx, by, ActionExported, ""); err != nil {
		return err
	}
	_, err := r.storage.All(ctx, skipDeleted(yield))
	return err
}
