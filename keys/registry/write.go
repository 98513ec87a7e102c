package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/internal/displaytext"
	"github.com/docsgate/docsgate/keys"
)

// OnChange registers a function that each write calls when it is durable, before it returns, so that the write is in effect when
// its caller continues. If the function fails, the write is not undone, and returns the error as ErrNotApplied. An exception is a
// *keys.ConflictError that affects only other keys. The function's context is not canceled with that of the write. It is called
// concurrently by concurrent writes.
func (r *Registry) OnChange(f func(context.Context) error) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nextID
	r.nextID++
	r.hooks[n] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.hooks, n)
	}
}

// write stores records and entries, and reports the attempt to OnWrite.
func (r *Registry) write(ctx context.Context, records []*Record, entries []*AuditEntry) error {
	err := r.storage.Write(ctx, records, entries)
	r.noteWrite(ctx, entries, err)
	return err
}

// noteWrite reports an attempt to store entries to OnWrite.
func (r *Registry) noteWrite(ctx context.Context, entries []*AuditEntry, err error) {
	if r.onWrite == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrExists) || errors.Is(err, ErrNotFound) || err != nil && ctx.Err() != nil {
		return
	}
	r.onWrite(entries, err)
}

// put stores and applies records and entries. If the error is ErrNotApplied, they were stored.
func (r *Registry) put(ctx context.Context, records []*Record, entries ...*AuditEntry) error {
	if err := r.write(ctx, records, entries); err != nil {
		return err
	}
	return r.notifyHooks(ctx, records...)
}

// notifyHooks applies stored records: it calls the functions registered with OnChange.
func (r *Registry) notifyHooks(ctx context.Context, records ...*Record) error {
	r.mu.Lock()
	hooks := make([]func(context.Context) error, 0, len(r.hooks))
	for _, f := range r.hooks {
		hooks = append(hooks, f)
	}
	r.mu.Unlock()
	// Stored changes must be applied even if the caller has canceled the request.
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

// affectsOnlyOthers reports whether all of the records were applied in spite of an error.
func affectsOnlyOthers(err error, records []*Record) bool {
	conflict, ok := errors.AsType[*keys.ConflictError](err)
	return ok && !slices.ContainsFunc(records, func(rec *Record) bool { return conflict.Has(rec.ID) })
}

// maxRetries is the number of retries if the same key is updated concurrently.
const maxRetries = 10

// update changes a key. change modifies a copy of the record, and returns the action and the detail for the audit trail. If the
// action is empty, nothing is written.
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
	// Even without a change: an earlier or concurrent one may not be applied yet, and the caller relies on it.
	return rec, r.notifyHooks(ctx, rec)
}

// retry retries an update after a conflict. Retries are serialized.
func (r *Registry) retry(
	ctx context.Context, by Actor, id string, change func(*Record) (Action, string, error),
) (rec *Record, err error) {
	r.retryMu.Lock()
	defer r.retryMu.Unlock()
	for range maxRetries {
		if rec, err = r.tryUpdate(ctx, by, id, change); !errors.Is(err, ErrConflict) {
			break
		}
	}
	return rec, err
}

// tryUpdate is one attempt of update. It returns ErrConflict if the key was changed concurrently.
func (r *Registry) tryUpdate(
	ctx context.Context, by Actor, id string, change func(*Record) (Action, string, error),
) (rec *Record, err error) {
	old, err := r.current(ctx, id)
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
	rec.Changed = r.currentTime()
	rec.dropExpiredTokens(rec.Changed)
	entry := r.newEntry(by, action, rec, detail)
	if rec.IsDeleted() {
		entry.Name = old.Name
	}
	if err := r.write(ctx, []*Record{rec}, []*AuditEntry{entry}); err != nil {
		return nil, err
	}
	return rec, nil
}

// current is Get for a change, which must not be based on a copy, even if it turns out to change nothing.
func (r *Registry) current(ctx context.Context, id string) (*Record, error) {
	remote, ok := r.storage.(RemoteStorage)
	if !ok || isToken(id) {
		return r.Get(ctx, id)
	}
	return notDeleted(remote.Current(ctx, id))
}

// newEntry returns an entry for the audit trail. rec is nil for an action on the whole store.
func (r *Registry) newEntry(by Actor, action Action, rec *Record, detail string) *AuditEntry {
	e := &AuditEntry{At: r.currentTime(), Actor: displaytext.PrintableLine(by.Name, maxNameRunes), RemoteAddr: displaytext.Line(by.RemoteAddr, maxNameRunes), Action: action, Detail: detail}
	if rec != nil {
		e.Key, e.Name = rec.ID, rec.Name
	}
	return e
}

// displayText writes an audit entry about the whole store.
func (r *Registry) writeEntry(ctx context.Context, by Actor, action Action, detail string) error {
	return r.write(ctx, nil, []*AuditEntry{r.newEntry(by, action, nil, detail)})
}

// IDSecretRotated writes an audit entry about a new secret that signs IDs.
func (r *Registry) IDSecretRotated(ctx context.Context, by Actor, number uint8, endedPrevious bool) error {
	detail := fmt.Sprintf("new secret %d signs IDs", number)
	if endedPrevious {
		detail += "; the IDs of earlier ones are unknown from now on"
	}
	return r.writeEntry(ctx, by, ActionSecretRotated, detail)
}

// Checked writes an audit entry about a dry run of an import with count keys, because its result reveals which keys exist.
func (r *Registry) Checked(ctx context.Context, by Actor, count int) error {
	return r.writeEntry(ctx, by, ActionChecked, fmt.Sprintf("keys in the import: %d", count))
}

// Rejected writes an audit entry about an attempt that the actor is not authorized for. what describes it, and references are the
// specified agents. The entry contains at most five of them, and only placeholders that cannot contain a key.
func (r *Registry) Rejected(ctx context.Context, by Actor, what string, references ...string) error {
	shown := make([]string, 0, len(references))
	for i, ref := range references {
		if i == 5 {
			shown = append(shown, fmt.Sprintf("%d more", len(references)-i))
			break
		}
		if ref = strings.TrimSpace(ref); !placeholderPattern.MatchString(ref) || mayHoldKey.MatchString(ref) {
			ref = "(not shown)"
		}
		shown = append(shown, displaytext.PrintableLine(ref, maxNameRunes))
	}
	return r.writeEntry(ctx, by, ActionRejected, what+": "+strings.Join(shown, ", "))
}

// mayHoldKey matches texts that may contain a token of the gate or a key of DocsGPT.
var mayHoldKey = regexp.MustCompile(`(?i)dg[kps]_[0-9a-z]{20}|[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}`)

// checkUnused returns an error if another feed has an id or a token. Either may be zero.
func (rules *Rules) checkUnused(id string, d keys.Digest) error {
	if rules.FeedOf == nil || id == "" && d.IsZero() {
		return nil
	}
	if feed := rules.FeedOf(id, d); feed != "" {
		return fmt.Errorf("%w in feed %s", ErrExists, feed)
	}
	return nil
}
