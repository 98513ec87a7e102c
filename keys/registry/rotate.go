package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
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
	var token string
	rec, err := r.update(ctx, by, id, func(rec *Record) (action Action, detail string, err error) {
		if token, detail, err = rec.rotate(grace, r.currentTime()); err != nil {
			return "", "", err
		}
		rules, _ := r.currentRules()
		return ActionRotated, detail, rules.checkUnused("", rec.Digest)
	})
	if err != nil && !errors.Is(err, ErrNotApplied) {
		return nil, err
	}
	return &CreateResult{Record: *rec, Token: keys.NewSecret(token)}, err
}

// rotate replaces the token, and returns the new one and the detail of the audit entry.
func (r *Record) rotate(grace time.Duration, now time.Time) (token, detail string, err error) {
	switch {
	case r.State == keys.Revoked:
		return "", "", ErrRevoked
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		return "", "", &FieldError{"expires", "the key has expired: set a later expiry before rotating it"}
	}
	detail = "previous tokens ended immediately"
	early := ""
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
	r.Rotated = now
	return r.newToken(), detail, nil
}

// EndGrace ends the grace period of a key's previous tokens: they are rejected from now on. Without previous tokens that are still
// valid, nothing is written. A revoked key is ErrRevoked.
func (r *Registry) EndGrace(ctx context.Context, by Actor, id string) (*Record, error) {
	return r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		if rec.State == keys.Revoked {
			return "", "", ErrRevoked
		}
		rec.dropExpiredTokens(r.currentTime())
		if len(rec.PreviousTokens) == 0 {
			return "", "", nil
		}
		rec.PreviousTokens = nil
		return ActionChanged, "previous tokens ended immediately", nil
	})
}

// newToken sets the digest of a new token for the kind of the key, and returns the token.
func (r *Record) newToken() string {
	r.TokenKind = policy.AnyKind
	if r.Policy != nil {
		r.TokenKind = r.Policy.Kind
	}
	token := keys.NewToken(r.TokenKind)
	r.Digest, r.Hint = keys.DigestOf(token), keys.Hint(token)
	r.Leaked, r.LeakedOrigin = time.Time{}, ""
	return token
}

// dropExpiredTokens removes expired previous tokens, and the oldest ones if there are more than maxPreviousTokens.
func (r *Record) dropExpiredTokens(now time.Time) {
	r.PreviousTokens = slices.DeleteFunc(r.PreviousTokens, func(o keys.PreviousToken) bool { return !now.Before(o.Until) })
	if len(r.PreviousTokens) > maxPreviousTokens {
		r.PreviousTokens = slices.Clip(r.PreviousTokens[:maxPreviousTokens])
	}
}
