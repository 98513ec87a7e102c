package registry

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// Maximum numbers for one key. Two are needed while one replaces the other.
const (
	MaxSignSecrets    = 4
	MaxSignPublicKeys = 4
)

// Signing is what the signed tokens of a key's visitors are verified with, as it is stored. The zero value verifies no token. It never
// changes once stored.
type Signing struct {
	Secrets    []SignSecret        // of HS256, the newest first; those whose time is over are removed by the next change
	PublicKeys []ed25519.PublicKey // of EdDSA
	Generation uint32              // tokens of another generation are rejected
}

// SignSecret is a secret that signs tokens.
type SignSecret struct {
	ID        string // public, unique for the key
	Encrypted []byte // by an Encrypter
	Created   time.Time
	Until     time.Time // exclusive: the end of the grace period of a replaced secret; zero: no end
}

// IsZero reports whether nothing is stored. s may be nil.
func (s *Signing) IsZero() bool {
	return s == nil || len(s.Secrets) == 0 && len(s.PublicKeys) == 0 && s.Generation == 0
}

// Equal reports whether two values are equal. Encryptions of the same secret differ. Either may be nil, which equals only nil.
func (s *Signing) Equal(o *Signing) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Generation == o.Generation &&
		slices.EqualFunc(s.PublicKeys, o.PublicKeys, func(a, b ed25519.PublicKey) bool { return bytes.Equal(a, b) }) &&
		slices.EqualFunc(s.Secrets, o.Secrets, func(a, b SignSecret) bool {
			return a.ID == b.ID && bytes.Equal(a.Encrypted, b.Encrypted) && a.Created.Equal(b.Created) && a.Until.Equal(b.Until)
		})
}

// clone returns a copy to change. s may be nil.
func (s *Signing) clone() *Signing {
	if s == nil {
		return new(Signing)
	}
	c := *s
	c.Secrets, c.PublicKeys = slices.Clone(s.Secrets), slices.Clone(s.PublicKeys)
	return &c
}

// orNil returns nil for the zero value, which is not stored.
func (s *Signing) orNil() *Signing {
	if s.IsZero() {
		return nil
	}
	return s
}

// canVerify reports whether a token can be verified, not only during a grace period. s may be nil.
func (s *Signing) canVerify() bool {
	return s != nil && (len(s.PublicKeys) > 0 || slices.ContainsFunc(s.Secrets, func(k SignSecret) bool { return k.Until.IsZero() }))
}

// hasSecrets reports whether a secret is stored. s may be nil.
func (s *Signing) hasSecrets() bool { return s != nil && len(s.Secrets) > 0 }

// dropExpired removes secrets whose grace period is over.
func (s *Signing) dropExpired(now time.Time) {
	s.Secrets = slices.DeleteFunc(s.Secrets, func(k SignSecret) bool { return !k.Until.IsZero() && !now.Before(k.Until) })
}

// SigningChange is a change of a Signing. Fields that are nil are not changed.
type SigningChange struct {
	PublicKeys *[]ed25519.PublicKey
	Generation *uint32 // at least the current one
}

// apply returns the changed value, nil if it is zero, and details for the audit trail. old may be nil and is not modified.
func (e *SigningChange) apply(c *validator, old *Signing) (s *Signing, details []string) {
	next := old.clone()
	if e.PublicKeys != nil {
		next.PublicKeys = *e.PublicKeys
		if len(next.PublicKeys) > MaxSignPublicKeys {
			c.errorf("sign_public_key", "must have at most %d entries", MaxSignPublicKeys)
		}
		if !next.Equal(old.clone()) {
			details = append(details, fmt.Sprintf("public keys for signed visitors: %d", len(next.PublicKeys)))
		}
	}
	if e.Generation != nil && *e.Generation != next.Generation {
		details = append(details, generationChange(next.Generation, *e.Generation))
		switch {
		case *e.Generation > visitortoken.MaxGeneration:
			c.errorf("generation", "must be a number from 0 to %d", visitortoken.MaxGeneration)
		case *e.Generation < next.Generation:
			c.errorf("generation", "must not be lower than %d: tokens that were invalidated would be valid again", next.Generation)
		}
		next.Generation = *e.Generation
	}
	return next.orNil(), details
}

func generationChange(was, is uint32) string {
	return fmt.Sprintf("generation %d, was %d: signed tokens of before are invalid", is, was)
}

// acceptsVisitors reports whether a policy accepts signed tokens. It may be nil.
func acceptsVisitors(p *policy.Policy) bool { return p != nil && p.Visitors != policy.VisitorsOff }

// checkVisitors adds an error if a policy accepts signed tokens that cannot be verified.
func (c *validator) checkVisitors(p *policy.Policy, s *Signing) {
	if acceptsVisitors(p) && !s.canVerify() {
		c.errorf("visitors", "needs a secret for signing, or sign_public_key: create a secret first, "+
			"as with \"docsgate keys rotate-sign-secret\"")
	}
}

// verifier returns what the signed tokens of a key are verified with, nil if its policy accepts none. A secret that cannot be
// decrypted verifies nothing, and problem is the reason, for users.
func (r *Registry) verifier(id string, p *policy.Policy, s *Signing) (settings *visitortoken.Settings, problem string) {
	if !acceptsVisitors(p) || s == nil {
		return nil, ""
	}
	settings = &visitortoken.Settings{PublicKeys: s.PublicKeys, Generation: s.Generation}
	for i := range s.Secrets {
		stored := &s.Secrets[i]
		secret, err := r.openSignSecret(id, stored)
		if err != nil {
			problem = err.Error()
			continue
		}
		secret.Until = stored.Until
		settings.Secrets = append(settings.Secrets, secret)
	}
	if settings.IsZero() {
		return nil, problem
	}
	return settings, problem
}

// SigningProblem returns why a stored secret for signing of a key cannot be used, for users, or "". The policy and s are those that are
// stored about the key.
func (r *Registry) SigningProblem(id string, p *policy.Policy, s *Signing) string {
	_, problem := r.verifier(id, p, s)
	return problem
}

// openSignSecret decrypts a secret. The error is for users.
func (r *Registry) openSignSecret(id string, s *SignSecret) (visitortoken.Secret, error) {
	if r.encrypter == nil {
		return visitortoken.Secret{}, errNoEncrypter
	}
	text, err := r.encrypter.decrypt(signSecretOf(id, s.ID), s.Encrypted)
	if err != nil {
		return visitortoken.Secret{}, err
	}
	return visitortoken.NewSecret(text.Reveal())
}

var errNoEncrypter = fmt.Errorf("the %s is encrypted, and the gate has no secret to decrypt it", signSecretWhat)

// newSignSecret generates a secret for a key and adds it. Previous ones end after the grace period. It returns the text of the secret,
// and the detail for the audit trail.
func (r *Registry) newSignSecret(
	ctx context.Context, id string, s *Signing, grace time.Duration,
) (text keys.Secret, detail string, err error) {
	now := r.currentTime()
	s.dropExpired(now)
	created := SignSecret{ID: newSignSecretID(), Created: now}
	text = keys.NewSecret(visitortoken.NewSecretText())
	if created.Encrypted, err = r.encrypter.encrypt(ctx, signSecretOf(id, created.ID), text); err != nil {
		return keys.Secret{}, "", err
	}
	detail = "sign secret " + created.ID + " created"
	switch {
	case len(s.Secrets) == 0:
	case grace == 0:
		s.Secrets = nil
		detail += "; previous ones ended immediately"
	default:
		until := now.Add(grace)
		for i := range s.Secrets {
			if k := &s.Secrets[i]; k.Until.IsZero() || k.Until.After(until) {
				k.Until = until
			}
		}
		detail += "; the previous one stays valid until " + formatTime(until)
		if len(s.Secrets) == MaxSignSecrets {
			s.Secrets = s.Secrets[:MaxSignSecrets-1]
			detail += fmt.Sprintf("; the oldest of %d ended early", MaxSignSecrets)
		}
	}
	s.Secrets = slices.Insert(s.Secrets, 0, created)
	return text, detail, nil
}
