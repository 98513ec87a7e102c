package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// A remote storage loses acknowledged writes if it fails over to a standby server that has not received them, and if a backup is restored.
// Then its revision is lower than before, or the same and later ones stand for other writes; the identifiers of the commits reveal that.
//
// What the copy has of the lost writes and makes keys invalid is written again: revoked and disabled keys, replaced tokens, and
// invalidated tokens of visitors. It is written to the storage, instead of being enforced only here, since gates that start later, or have
// not seen the writes, must enforce it as well. Until it is written, the storage counts as unavailable, so the keys from before remain.
// All other lost writes, such as new keys, stay lost.

// actor is the author of the audit entries.
var actor = registry.Actor{Name: "gate", RemoteAddr: "gate"}

// detail is the detail of the audit entries.
const detail = "repeated, since the database has lost it"

// maxRetries is the number of retries if a key is written concurrently.
const maxRetries = 10

// reapply writes what the lost writes have made invalid. newest is the newest position of the copy.
func (s *Storage) reapply(ctx context.Context, snap *Snapshot, newest registry.Position) error {
	from := s.copy.storage()
	if from == nil {
		return nil
	}
	var lost []*registry.Record
	if _, err := from.Changes(ctx, snap.Common, func(r *registry.Record) error { lost = append(lost, r); return nil }); err != nil {
		s.copy.mustReplace(false)
		return &copyError{err}
	}
	var lostOverrides []*registry.Override
	if err := from.Overrides(ctx, func(o *registry.Override) error {
		if o.Revision > snap.Common {
			lostOverrides = append(lostOverrides, o)
		}
		return nil
	}); err != nil {
		s.copy.mustReplace(false)
		return &copyError{err}
	}
	repeated := 0
	for _, known := range lost {
		written, err := retry(func() (bool, error) { return s.reapplyRecord(ctx, known) })
		if err != nil {
			return notReapplied(err)
		}
		repeated += written
	}
	written, err := s.reapplyOverrides(ctx, lostOverrides)
	if err != nil {
		return notReapplied(err)
	}
	repeated += written
	s.reportLoss(snap, newest, repeated)
	return nil
}

// notReapplied returns the error if a revocation cannot be written: the storage cannot be used until it can.
func notReapplied(err error) error {
	return fmt.Errorf("%w: it has lost revocations, which could not be written again: %w", registry.ErrUnavailable, err)
}

// reportLoss logs that the remote storage has lost writes, once: what was loaded before belongs to a history that is over.
func (s *Storage) reportLoss(snap *Snapshot, newest registry.Position, repeated int) {
	s.mu.Lock()
	s.loaded = registry.Position{}
	s.mu.Unlock()
	if s.options.OnLoss != nil {
		s.options.OnLoss()
	}
	s.log.Error("the database of the key store has lost writes: it has failed over to a standby server that lacked them, or was restored from "+
		"a backup. What they had revoked or disabled was written again, if this gate has known it; other changes are lost",
		"known_revision", newest.Revision, "revision", snap.At.Revision, "common_revision", snap.Common, "written_again", repeated)
}

// retry calls write until there is no conflict with another gate, and returns 1 if something was written.
func retry(write func() (bool, error)) (written int, err error) {
	for range maxRetries {
		var wrote bool
		if wrote, err = write(); !errors.Is(err, registry.ErrConflict) {
			if wrote && err == nil {
				written = 1
			}
			return written, err
		}
	}
	return 0, err
}

// reapplyRecord reports whether it has written something.
func (s *Storage) reapplyRecord(ctx context.Context, known *registry.Record) (bool, error) {
	current, err := s.remote.Get(ctx, known.ID)
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil // its token is unknown, and rejected
	}
	if err != nil {
		return false, err
	}
	if current.IsDeleted() {
		return false, nil // nothing of it is valid
	}
	action, what := restrict(current, known)
	if action == "" {
		return false, nil
	}
	current.Changed = time.Now().UTC().Truncate(time.Second)
	return true, s.remote.Write(ctx, []*registry.Record{current}, []*registry.AuditEntry{{
		At: current.Changed, Actor: actor.Name, RemoteAddr: actor.RemoteAddr, Action: action, Key: current.ID, Name: current.Name,
		Detail: strings.Join(append(what, detail), "; "),
	}})
}

// restrict makes everything of a record invalid that is not valid in a version that was lost. It returns no action if that is the case.
func restrict(r, lost *registry.Record) (action registry.Action, what []string) {
	if lost.Rotated.After(r.Rotated) {
		r.Digest, r.Hint, r.TokenKind, r.Rotated = lost.Digest, lost.Hint, lost.TokenKind, lost.Rotated
		r.Leaked, r.LeakedOrigin = lost.Leaked, lost.LeakedOrigin
		r.PreviousTokens = slices.Clone(lost.PreviousTokens)
		action, what = registry.ActionRotated, append(what, "the replaced token is invalid")
	} else if kept := commonTokens(r, lost); len(kept) < len(r.PreviousTokens) {
		r.PreviousTokens = kept
		action, what = registry.ActionChanged, append(what, "previous tokens ended")
	}
	if s := raiseGeneration(r.Signing, lost.Signing); s != nil {
		r.Signing, action, what = s, registry.ActionChanged, append(what, fmt.Sprintf("generation %d", s.Generation))
	}
	switch {
	case lost.State == keys.Revoked && r.State != keys.Revoked:
		r.State, action = keys.Revoked, registry.ActionRevoked
	case lost.State == keys.Disabled && r.State == keys.Active:
		r.State, action = keys.Disabled, registry.ActionDisabled
	}
	return action, what
}

// commonTokens returns the previous tokens of a record that were valid in a lost version.
func commonTokens(r, lost *registry.Record) []keys.PreviousToken {
	valid := map[keys.Digest]bool{}
	for d := range lost.Digests() {
		valid[d] = true
	}
	var kept []keys.PreviousToken
	for _, t := range r.PreviousTokens {
		if valid[t.Digest] {
			kept = append(kept, t)
		}
	}
	return kept
}

// raiseGeneration returns a copy of a Signing with the higher generation of a lost version, or nil if its own is not lower.
func raiseGeneration(s, lost *registry.Signing) *registry.Signing {
	if lost == nil || s == nil && lost.Generation == 0 || s != nil && s.Generation >= lost.Generation {
		return nil
	}
	raised := registry.Signing{}
	if s != nil {
		raised = *s
	}
	raised.Generation = lost.Generation
	return &raised
}

// reapplyOverrides does the same for keys of other feeds. It returns the number of written overrides.
func (s *Storage) reapplyOverrides(ctx context.Context, lost []*registry.Override) (written int, err error) {
	if len(lost) == 0 {
		return 0, nil
	}
	current := map[string]registry.Override{}
	read := func() error {
		return s.remote.Overrides(ctx, func(o *registry.Override) error {
			current[o.ID] = *o
			return nil
		})
	}
	if err := read(); err != nil {
		return 0, err
	}
	for _, known := range lost {
		wrote, err := retry(func() (bool, error) {
			o, ok := current[known.ID]
			if !ok {
				o.ID = known.ID
			}
			wrote, err := s.reapplyOverride(ctx, &o, known)
			if errors.Is(err, registry.ErrConflict) {
				clear(current)
				err = errors.Join(err, read())
			}
			return wrote, err
		})
		if err != nil {
			return written, err
		}
		written += wrote
	}
	return written, nil
}

// reapplyOverride reports whether it has written something.
func (s *Storage) reapplyOverride(ctx context.Context, current, lost *registry.Override) (bool, error) {
	action, what := registry.Action(""), []string(nil)
	if raised := raiseGeneration(current.Signing, lost.Signing); raised != nil {
		current.Signing, action, what = raised, registry.ActionChanged, append(what, fmt.Sprintf("generation %d", raised.Generation))
	}
	if lost.Disabled && !current.Disabled {
		current.Disabled, action = true, registry.ActionDisabled
	}
	if action == "" {
		return false, nil
	}
	current.Changed = time.Now().UTC().Truncate(time.Second)
	return true, s.remote.WriteOverride(ctx, current, &registry.AuditEntry{
		At: current.Changed, Actor: actor.Name, RemoteAddr: actor.RemoteAddr, Action: action, Key: current.ID,
		Detail: strings.Join(append(what, "key of another feed", detail), "; "),
	})
}
