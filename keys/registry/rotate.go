package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// maxPreviousTokens is how many replaced tokens of one key can count at once.
const maxPreviousTokens = 5

// Rotate gives a key a new token; the old one counts for grace yet, 0 to MaxGrace. ID and all else stay.
//
// Tokens that were replaced before keep their own time, at most five of them: the one that was replaced first goes. A grace
// of zero is the answer to a leak: it ends all of them at once. A disabled key can be rotated and stays disabled; a revoked
// one cannot (ErrRevoked), and one that has expired must first get a later expiry (*FieldError). With ErrNotApplied the key
// has the new token.
func (r *Registry) Rotate(ctx context.Context, by Actor, id string, grace time.Duration) (*CreateResult, error) {
	if grace < 0 || grace > MaxGrace {
		return nil, &FieldError{"grace", "between 0 and 30 days"}
	}
	token := keys.NewToken()
	rules, _ := r.currentRules()
	if err := rules.taken("", keys.DigestOf(token)); err != nil {
		return nil, err
	}
	rec, err := r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		return rec.rotate(token, grace, r.moment())
	})
	if err != nil && !errors.Is(err, ErrNotApplied) {
		return nil, err
	}
	return &CreateResult{Record: *rec, Token: keys.NewSecret(token)}, err
}

func (r *Record) rotate(token string, grace time.Duration, now time.Time) (Action, string, error) {
	switch {
	case r.State == keys.Revoked:
		return "", "", ErrRevoked
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		return "", "", &FieldError{"expires", "the key has expired: give it a later expiry, then rotate it"}
	}
	detail, early := "the old token ended at once", ""
	if grace == 0 {
		r.Old = nil
	} else {
		until := now.Add(grace)
		r.dropOld(now)
		if len(r.Old) == maxPreviousTokens {
			early = fmt.Sprintf("; the first of %d older ones that counted yet ended early", maxPreviousTokens)
		}
		r.Old = slices.Insert(r.Old, 0, keys.PreviousToken{Digest: r.Digest, Until: until})
		detail = fmt.Sprintf("the old token counts until %s%s", formatTime(until), early)
	}
	r.Digest, r.Hint, r.Rotated = keys.DigestOf(token), keys.Hint(token), now
	return ActionRotated, detail, nil
}

// dropOld lets go of replaced tokens whose time is over, and of those that are too many.
func (r *Record) dropOld(now time.Time) {
	r.Old = slices.DeleteFunc(r.Old, func(o keys.PreviousToken) bool { return !now.Before(o.Until) })
	if len(r.Old) > maxPreviousTokens {
		r.Old = slices.Clip(r.Old[:maxPreviousTokens])
	}
}
