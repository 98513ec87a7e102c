package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/visitortoken"
)

// NewSignSecret is a secret for signing that was just created. The text cannot be retrieved later.
type NewSignSecret struct {
	SignSecret
	Secret keys.Secret
}

// RotateSignSecret creates a secret that signs tokens of a key's visitors. Earlier ones remain valid for the grace period, 0 to MaxGrace,
// or until their own end if that is earlier. There are at most MaxSignSecrets: the oldest one is removed early. k is nil for a key of
// the registry, or the key as another feed has it. If the error is ErrNotApplied, the secret was created and is returned.
func (r *Registry) RotateSignSecret(
	ctx context.Context, by Actor, id string, k *keys.Key, grace time.Duration,
) (created NewSignSecret, err error) {
	switch {
	case grace < 0 || grace > MaxGrace:
		return NewSignSecret{}, &FieldError{"grace", "must be between 0 and 30 days"}
	case r.encrypter == nil:
		return NewSignSecret{}, errCannotStoreSecrets
	}
	err = r.changeSigning(ctx, by, id, k, func(s *Signing) (detail string, err error) {
		if err := r.checkSecretFile(ctx); err != nil {
			return "", err
		}
		created.Secret, detail, err = r.newSignSecret(ctx, id, s, grace)
		if err == nil {
			created.SignSecret = s.Secrets[0]
		}
		return detail, err
	})
	if err != nil && !errors.Is(err, ErrNotApplied) {
		return NewSignSecret{}, err
	}
	return created, err
}

var errCannotStoreSecrets = &FieldError{"visitors", "this gate cannot store secrets for signing: set sign_public_key"}

// EndSignGrace ends the grace period of a key's replaced secrets: tokens that they have signed are rejected from now on. Without
// secrets in a grace period, nothing is written. k is as in RotateSignSecret.
func (r *Registry) EndSignGrace(ctx context.Context, by Actor, id string, k *keys.Key) error {
	return r.changeSigning(ctx, by, id, k, func(s *Signing) (string, error) {
		s.dropExpired(r.currentTime())
		current := s.Secrets[:0]
		for _, secret := range s.Secrets {
			if secret.Until.IsZero() {
				current = append(current, secret)
			}
		}
		if len(current) == len(s.Secrets) {
			return "", nil
		}
		s.Secrets = current
		return "replaced sign secrets ended immediately", nil
	})
}

// InvalidateVisitorTokens increases the generation of a key, so that all tokens that were signed for its visitors are invalid. It returns
// the new generation. k is as in RotateSignSecret.
func (r *Registry) InvalidateVisitorTokens(ctx context.Context, by Actor, id string, k *keys.Key) (generation uint32, err error) {
	err = r.changeSigning(ctx, by, id, k, func(s *Signing) (string, error) {
		if s.Generation >= visitortoken.MaxGeneration {
			return "", &FieldError{"generation", "cannot be increased any more: replace the secret and the public keys"}
		}
		s.Generation++
		generation = s.Generation
		return generationChange(s.Generation-1, s.Generation), nil
	})
	return generation, err
}

// changeSigning changes what the tokens of a key are verified with. change modifies a copy, and returns the detail for the audit trail;
// if it is empty, nothing is written.
func (r *Registry) changeSigning(ctx context.Context, by Actor, id string, k *keys.Key, change func(*Signing) (string, error)) error {
	if k != nil {
		return r.updateOverride(ctx, by, k, func(o *Override) (Action, string, error) {
			s := o.Signing.clone()
			detail, err := change(s)
			if err != nil || detail == "" {
				return "", "", err
			}
			o.Signing = s.orNil()
			return ActionChanged, detail + "; key of the feed " + k.Feed, nil
		})
	}
	_, err := r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		if rec.State == keys.Revoked {
			return "", "", ErrRevoked
		}
		s := rec.Signing.clone()
		detail, err := change(s)
		if err != nil || detail == "" {
			return "", "", err
		}
		rec.Signing = s.orNil()
		return ActionChanged, detail, nil
	})
	return err
}

// newSignSecretID returns a random ID.
func newSignSecretID() string {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails: the process crashes instead
	return hex.EncodeToString(id[:])
}
