package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/docsgate/docsgate/keys"
)

// OnChange registers a function that each write calls before it returns, after it is durable, so that the write is in force
// when its caller hears of it. The function's error is returned by the write, which stays: see ErrNotApplied; but not a
// *keys.ConflictError for other keys than those that were written. Its context does not end with that of the write. Writes that
// happen at once call it at once.
func (r *Registry) OnChange(f func(context.Context) error) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.next
	r.next++
	r.hooks[n] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.hooks, n)
	}
}

// put stores records and entries and puts them in force. An error that is ErrNotApplied comes after they were stored.
func (r *Registry) put(ctx context.Context, records []*Record, entries ...*AuditEntry) error {
	if err := r.storage.Write(ctx, records, entries); err != nil {
		return err
	}
	return r.notifyHooks(ctx, records...)
}

// notifyHooks puts in force what was stored.
func (r *Registry) notifyHooks(ctx context.Context, records ...*Record) error {
	r.mu.Lock()
	hooks := make([]func(context.Context) error, 0, len(r.hooks))
	for _, f := range r.hooks {
		hooks = append(hooks, f)
	}
	r.mu.Unlock()
	// What is stored has to come into force, also when the caller has hung up in the meantime.
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, f := range hooks {
		if err := f(ctx); err != nil && !affectsOnlyOthers(err, records) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrNotApplied, err)
	}
	return nil
}

// affectsOnlyOthers tells whether all of the records are in force in spite of an error.
func affectsOnlyOthers(err error, records []*Record) bool {
	refused, partly := errors.AsType[*keys.ConflictError](err)
	return partly && !slices.ContainsFunc(records, func(rec *Record) bool { return refused.Has(rec.ID) })
}

// maxRetries is how often a change is tried again when others change the same key at the same time.
const maxRetries = 10

// update changes one key. change gets a record of its own, and says what it did to it; with no action nothing is written.
func (r *Registry) update(
	ctx context.Context, by Actor, id string, change func(*Record) (Action, string, error),
) (*Record, error) {
	rec, err := r.tryUpdate(ctx, by, id, change)
	if errors.Is(err, ErrConflict) {
		rec, err = r.retry(ctx, by, id, change)
	}
	if err != nil {
		return nil, err
	}
	// Also without a change: somebody else's, or an earlier call's, may not be in force yet, and who asks for it relies on it.
	return rec, r.notifyHooks(ctx, rec)
}

// retry is for those who were in each other's way: they go on one by one.
func (r *Registry) retry(
	ctx context.Context, by Actor, id string, change func(*Record) (Action, string, error),
) (rec *Record, err error) {
	r.retrying.Lock()
	defer r.retrying.Unlock()
	for range maxRetries {
		if rec, err = r.tryUpdate(ctx, by, id, change); !errors.Is(err, ErrConflict) {
			break
		}
	}
	return rec, err
}

// tryUpdate stores a change if nobody else has changed the key in the meantime, and returns the key as it is then.
func (r *Registry) tryUpdate(
	ctx context.Context, by Actor, id string, change func(*Record) (Action, string, error),
) (rec *Record, err error) {
	old, err := r.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	rec = old.clone()
	action, detail, err := change(rec)
	if err != nil {
		return nil, err
	}
	if action == "" {
		return old, nil
	}
	rec.Changed = r.moment()
	rec.dropOld(rec.Changed)
	if err := r.storage.Write(ctx, []*Record{rec}, []*AuditEntry{r.entry(by, action, rec, detail)}); err != nil {
		return nil, err
	}
	return rec, nil
}

// entry is what the audit trail is told. rec is nil for what concerns the whole store.
func (r *Registry) entry(by Actor, action Action, rec *Record, detail string) *AuditEntry {
	e := &AuditEntry{At: r.moment(), Who: sanitize(by.Name), From: sanitize(by.RemoteAddr), Action: action, Detail: detail}
	if rec != nil {
		e.Key, e.Name = rec.ID, rec.Name
	}
	return e
}

// note writes an audit entry about the whole store.
func (r *Registry) note(ctx context.Context, by Actor, action Action, detail string) error {
	return r.storage.Write(ctx, nil, []*AuditEntry{r.entry(by, action, nil, detail)})
}

// Checked writes an audit entry about a dry run of an import of so many keys: what it answers tells something of what is there.
func (r *Registry) Checked(ctx context.Context, by Actor, count int) error {
	return r.note(ctx, by, ActionChecked, fmt.Sprintf("keys in the import: %d", count))
}

// Rejected writes an audit entry about something that an actor may not do. what says what was tried, in words of the caller's,
// and references are the agents that were named: only placeholders are repeated, at most five, and none that may hold a key.
func (r *Registry) Rejected(ctx context.Context, by Actor, what string, references ...string) error {
	shown := make([]string, 0, len(references))
	for i, ref := range references {
		if i == 5 {
			shown = append(shown, fmt.Sprintf("%d more", len(references)-i))
			break
		}
		if ref = strings.TrimSpace(ref); !placeholderPattern.MatchString(ref) || mayHoldKey.MatchString(ref) {
			ref = "one that is not shown"
		}
		shown = append(shown, sanitize(ref))
	}
	return r.note(ctx, by, ActionRejected, what+": "+strings.Join(shown, ", "))
}

// mayHoldKey matches texts with a token of the gate in them, or a key of DocsGPT.
var mayHoldKey = regexp.MustCompile(`(?i)dgk_[0-9a-z]{20}|[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}`)

// sanitize makes a text of the outside fit for one line of the trail.
func sanitize(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if runes := []rune(s); len(runes) > maxNameRunes {
		s = string(runes[:maxNameRunes])
	}
	return strings.TrimSpace(s)
}

// taken asks whether another feed has an id or a token already. Either may be zero.
func (rules *Policy) taken(id string, d keys.Digest) error {
	if rules.Taken == nil || id == "" && d.IsZero() {
		return nil
	}
	if feed := rules.Taken(id, d); feed != "" {
		return fmt.Errorf("%w, of feed %s", ErrExists, feed)
	}
	return nil
}
