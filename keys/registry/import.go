package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Import is a key that comes from elsewhere.
type Import struct {
	ID                          string // empty: a new one
	Name                        string // empty: the ID
	Sources                     []string
	Agent                       string // as in Draft
	AgentKey                    string
	Digest                      keys.Digest // zero: a new token is made
	State                       keys.State  // Active, Disabled or Revoked
	NotBefore, Expires, Created time.Time
	Prompt, Chunks, Retriever   string
}

// ImportResult is what became of an Import: a new key, with its token if one was made, or Existing, the ID of the key that has
// this very digest already and was left as it is.
type ImportResult struct {
	Record   Record
	Token    keys.Secret
	Existing string
}

// ImportError says what is wrong with one of the items, by its index.
type ImportError struct {
	Index int
	Err   error
}

// Error implements error.
func (e *ImportError) Error() string {
	return fmt.Sprintf("key %d: %s", e.Index+1, strings.ReplaceAll(e.Err.Error(), "\n", "; "))
}

// Unwrap returns Err, which joins *FieldErrors if the item is at fault.
func (e *ImportError) Unwrap() error { return e.Err }

// Import takes keys in, all or none. Errors join ImportErrors. With dry nothing is written and no token is made: then
// records of items without an ID have none. With ErrNotApplied the keys are there.
func (r *Registry) Import(ctx context.Context, by Actor, items []Import, dry bool) ([]ImportResult, error) {
	rules, _ := r.currentRules()
	b := importBatch{
		registry: r, rules: rules, now: r.moment(), dry: dry,
		ids: make(map[string]int, len(items)), digests: make(map[keys.Digest]int, len(items)),
	}
	results := make([]ImportResult, len(items))
	agentKeys := make([]keys.Secret, len(items))
	var faults []error
	for i := range items {
		var err error
		if agentKeys[i], err = b.item(ctx, i, &items[i], &results[i]); err != nil {
			if fatal := (*storageError)(nil); errors.As(err, &fatal) {
				return nil, fatal.err
			}
			faults = append(faults, &ImportError{i, err})
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if dry {
		return results, nil
	}
	return r.take(ctx, by, results, agentKeys)
}

// take stores what Import has found good.
func (r *Registry) take(ctx context.Context, by Actor, results []ImportResult, agentKeys []keys.Secret) ([]ImportResult, error) {
	var (
		all     = make([]*Record, len(results)) // also those that were there: what stored them may have failed to put them in force
		records []*Record
		entries []*AuditEntry
	)
	for i := range results {
		rec := &results[i].Record
		all[i] = rec
		if results[i].Existing != "" {
			continue
		}
		if err := r.seal(ctx, rec, agentKeys[i]); err != nil {
			return nil, err
		}
		records, entries = append(records, rec), append(entries, r.entry(by, ActionImported, rec, rec.describe()))
	}
	if len(records) > 0 {
		if err := r.storage.Write(ctx, records, entries); err != nil {
			return nil, err
		}
	}
	return results, r.notifyHooks(ctx, all...)
}

// storageError is a failure to look, which no item is to blame for.
type storageError struct{ err error }

func (e *storageError) Error() string { return e.err.Error() }

// importBatch is one Import.
type importBatch struct {
	registry *Registry
	rules    Policy
	now      time.Time
	dry      bool
	ids      map[string]int // of the items so far
	digests  map[keys.Digest]int
}

// item looks at one item and says what becomes of it.
func (b *importBatch) item(ctx context.Context, i int, in *Import, out *ImportResult) (keys.Secret, error) {
	if !in.Digest.IsZero() {
		if first, repeated := b.digests[in.Digest]; repeated {
			return keys.Secret{}, fmt.Errorf("same token as key %d: each key needs a token of its own", first+1)
		}
		b.digests[in.Digest] = i
		switch rec, err := b.registry.storage.ByDigest(ctx, in.Digest); {
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
	if err := b.id(ctx, &c, i, in, rec); err != nil {
		return keys.Secret{}, err
	}
	name := in.Name
	if name == "" {
		name = rec.ID
	}
	if name != "" { // in a dry run without id and name it is the id that will be made
		rec.Name = c.name(name)
	}
	if rec.State != keys.Active && rec.State != keys.Disabled && rec.State != keys.Revoked {
		c.fault("state", "must be active, disabled or revoked")
	}
	agentKey := b.registry.bind(&c, rec, in.Sources, in.Agent, in.AgentKey)
	rec.NotBefore, rec.Expires = c.times(in.NotBefore, in.Expires)
	if rec.Created = c.time("created", in.Created); rec.Created.IsZero() {
		rec.Created = b.now
	}
	rec.Prompt, rec.Chunks = c.note("prompt_id", in.Prompt), c.note("chunks", in.Chunks)
	rec.Retriever = c.note("retriever", in.Retriever)
	if rec.Digest.IsZero() && !b.dry {
		token := keys.NewToken()
		rec.Digest, rec.Hint, out.Token = keys.DigestOf(token), keys.Hint(token), keys.NewSecret(token)
	}
	if err := b.rules.taken(rec.ID, keys.Digest{}); err != nil {
		c.fault("id", "%v", err)
	}
	if err := b.rules.taken("", rec.Digest); err != nil {
		c.fault("sha256", "%v", err)
	}
	return agentKey, c.err()
}

// id sets the id of a record. The error is one of the storage.
func (b *importBatch) id(ctx context.Context, c *validator, i int, in *Import, rec *Record) error {
	if in.ID == "" {
		if !b.dry {
			rec.ID = NewID()
		}
		return nil
	}
	if !idPattern.MatchString(in.ID) {
		c.fault("id", `has 1 to 128 letters, digits, ".", "_" or "-" and begins with a letter or a digit`)
		return nil
	}
	if isToken(in.ID) {
		c.fault("id", "this is a token: an id is public")
		return nil
	}
	rec.ID = in.ID
	if first, repeated := b.ids[in.ID]; repeated {
		c.fault("id", "key %d has it already", first+1)
		return nil
	}
	b.ids[in.ID] = i
	switch _, err := b.registry.storage.Get(ctx, in.ID); {
	case err == nil:
		c.fault("id", "another key has it already")
	case !errors.Is(err, ErrNotFound):
		return &storageError{err}
	}
	return nil
}

// Export calls yield for each record, in the order of their IDs, and writes an audit entry before the first. An error of
// yield ends it.
func (r *Registry) Export(ctx context.Context, by Actor, yield func(*Record) error) error {
	if err := r.note(ctx, by, ActionExported, ""); err != nil {
		return err
	}
	_, err := r.storage.All(ctx, yield)
	return err
}
