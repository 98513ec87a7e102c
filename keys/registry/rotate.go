package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// maxPreviousTokens is the maximum number of valid previous tokens of a key.
const maxPreviousTokens = 5

// Rotate replaces the token of a key. The previous token remains valid for the grace period, 0 to MaxGrace. Nothing else changes.
//
// Earlier previous tokens keep their own expiry. There are at most five: the oldest one is removed early. A grace period of zero,
// for leaked tokens, ends all of them immediately. A disabled key can be rotated and remains disabled. A revoked key cannot be
// rotated (ErrRevoked), and an expired key must get a later expiry first (*FieldError). If the error is ErrNotApplied, the token
// was replaced.
func (r *Registry) Rotate(ctx context.Context, by Actor, id string, grace time.Duration) (*CreateResult, error) {
	if grace < 0 || grace > MaxGrace {
		return nil, &FieldError{"grace", "must be between 0 and 30 days"}
	}
	token := keys.NewToken()
	rules, _ := r.currentRules()
	if err := rules.checkUnused("", keys.DigestOf(token)); err != nil {
		return nil, err
	}
	rec, err := r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		return rec.rotate(token, grace, r.currentTime())
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
		return "", "", &FieldError{"expires", "the key has expired: set a later expiry before rotating it"}
	}
	detail, early := "previous tokens ended immediately", ""
	if grace == 0 {
		r.PreviousTokens = nil
	} else {
		until := now.Add(grace)
		r.dropExpiredTokens(now)
		if len(r.PreviousTokens) == maxPreviousTokens {
			early = fmt.Sprintf("; the oldest of %d valid previous tokens ended early", maxPreviousTokens)
		}
		r.PreviousTokens = slices.Insert(r.PreviousTokens, 0, keys.PreviousToken{Digest: r.Digest, Until: until})
		detail = fmt.Sprintf("the previous token stays valid until %s%s", formatTime(until), early)
	}
	r.Digest, r.Hint, r.Rotated = keys.DigestOf(token), keys.Hint(token), now
	return ActionRotated, detail, nil
}

// dropExpiredTokens removes expired previous tokens, and the oldest ones if there are more than maxPreviousTokens.
func (r *Record) dropExpiredTokens(now time.Time) {
	r.PreviousTokens = slices.DeleteFunc(r.PreviousTokens, func(o keys.PreviousToken) bool { return !now.Before(o.Until) })
	if len(r.PreviousTokens) > maxPreviousTokens {
		r.PreviousTokens = slices.Clip(r.PreviousTokens[:maxPreviousTokens])
	}
}
