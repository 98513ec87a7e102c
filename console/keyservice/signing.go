package keyservice

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// Signing is what the signed tokens of a key's visitors are verified with.
type Signing struct {
	Secrets    []SignSecret // stored ones, the newest first; those of a key file are not known here
	PublicKeys []ed25519.PublicKey
	Generation uint32

	// Problem is why a stored secret cannot be used, for users; empty: all can be.
	Problem string
}

// SignSecret is a secret that signs tokens, without its text.
type SignSecret struct {
	ID      string
	Created time.Time
	Until   time.Time // end of the grace period of a replaced secret; zero: it is the current one
}

// signingOf returns the Signing of what the registry stores about a key.
func (d *Service) signingOf(id string, p *policy.Policy, s *registry.Signing, now time.Time) (v Signing) {
	if s == nil {
		return v
	}
	v.PublicKeys, v.Generation = s.PublicKeys, s.Generation
	for i := range s.Secrets {
		if k := &s.Secrets[i]; k.Until.IsZero() || now.Before(k.Until) {
			v.Secrets = append(v.Secrets, SignSecret{k.ID, k.Created, k.Until})
		}
	}
	v.Problem = d.Registry.SigningProblem(id, p, s)
	return v
}

// signingOfOther returns the Signing of a key of another feed.
func (d *Service) signingOfOther(k *keys.Key, now time.Time) (v Signing) {
	if o := d.Registry.Override(k.ID); o != nil && o.Signing != nil {
		return d.signingOf(k.ID, o.Policy, o.Signing, now)
	}
	if k.VisitorTokens != nil {
		v.PublicKeys, v.Generation = k.VisitorTokens.PublicKeys, k.VisitorTokens.Generation
	}
	return v
}

// RotateSignSecret is Registry.RotateSignSecret for a key of any feed, except those of key files (*ReadOnlyError).
func (d *Service) RotateSignSecret(
	ctx context.Context, by registry.Actor, id string, grace time.Duration,
) (created registry.NewSignSecret, err error) {
	err = d.withSigning(ctx, id, func(k *keys.Key) (err error) {
		created, err = d.Registry.RotateSignSecret(ctx, by, id, k, grace)
		return err
	})
	return created, err
}

// EndSignGrace is Registry.EndSignGrace for a key as in RotateSignSecret.
func (d *Service) EndSignGrace(ctx context.Context, by registry.Actor, id string) error {
	return d.withSigning(ctx, id, func(k *keys.Key) error { return d.Registry.EndSignGrace(ctx, by, id, k) })
}

// InvalidateVisitorTokens is Registry.InvalidateVisitorTokens for a key as in RotateSignSecret.
func (d *Service) InvalidateVisitorTokens(ctx context.Context, by registry.Actor, id string) error {
	return d.withSigning(ctx, id, func(k *keys.Key) error {
		_, err := d.Registry.InvalidateVisitorTokens(ctx, by, id, k)
		return err
	})
}

// withSigning calls change with nil for a key of the registry, or with the key as another feed has it.
func (d *Service) withSigning(ctx context.Context, id string, change func(*keys.Key) error) error {
	_, err := d.Registry.Get(ctx, id)
	if errors.Is(err, registry.ErrNotFound) {
		k, err := d.original(id, err)
		if err != nil {
			return err
		}
		return change(k)
	}
	if err != nil {
		return err
	}
	return change(nil)
}

// SignVisitorToken is Key.SignVisitorToken for a key of any feed. Other errors are those of Show.
func (d *Service) SignVisitorToken(ctx context.Context, id string, r visitortoken.Request) (token string, expires time.Time, err error) {
	k, err := d.current(ctx, id)
	if err != nil {
		return "", time.Time{}, err
	}
	now := d.now()
	token, err = k.SignVisitorToken(r, now)
	return token, time.Unix(now.Unix(), 0).Add(r.Lifetime).UTC(), err
}

// current returns a key of any feed as it is now: a record of the registry is at least as new as the key in the store.
func (d *Service) current(ctx context.Context, id string) (*keys.Key, error) {
	rec, err := d.Registry.Get(ctx, id)
	if err == nil {
		k, _ := d.Registry.Key(rec)
		return &k, nil
	}
	if k := d.Store.Get(id); k != nil && k.Feed != d.Feed {
		return k, nil
	}
	return nil, err
}
